"""A sweep that is killed at any moment and resumed ends with what an uninterrupted one has."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.runs import TINY, assert_bit_equal, metrics, state

from ganlab.evaluation import scores
from ganlab.runs.sweeps.record import HYDRA, Sweep

MOMENTS = int(os.environ.get("SWEEP_KILLS", "2"))  # more by hand: 20 take half an hour
WORDS = (
    *TINY, "loss=hinge,least_squares", "trainer.max_steps=30", "checkpoint.every_steps=7",
    "checkpoint.keep=1", "sample.every_steps=12", "evaluate.every_kimg=0.1", "evaluate.samples=64", "sweep.jobs=2",
)  # fmt: skip
# with several at a time the values depend on which job ends first
SEARCH = (
    *(word for word in WORDS if not word.startswith(("loss=", "sweep.jobs="))), "hydra/sweeper=optuna",
    "optimizer.generator.lr=tag(log,interval(1e-5,1e-2))", "loss=hinge,least_squares", "sweep.trials=3",
    "hydra.sweeper.startup_trials=1",
)  # fmt: skip


GRIDS = ["iteration_000000012", "iteration_000000024", "iteration_000000030"]


def start(words: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", "ganlab", *words], start_new_session=True, env=environment)


def files(folder: Path) -> list[str]:
    """The names of all files below, without pictures that a life leaves behind.

    One that is killed leaves pictures of an evaluation; a job ends as by SIGTERM when its sweep is killed, and draws a
    grid of where it stopped if it has the time.
    """
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    kept = (path for path in found if path.parts[0] != HYDRA and "evaluation" not in path.parts)
    return sorted(str(path) for path in kept if path.parent.name != "samples" or path.stem in GRIDS)


def assert_same(one: Path, other: Path) -> None:
    """Folders, weights, states, records of training and scores; not the time that anything took."""
    assert files(one) == files(other)
    jobs = [[(j.number, j.values, j.folder, j.state, j.objective) for j in Sweep.read(f).jobs()] for f in (one, other)]
    assert jobs[0] == jobs[1]
    for job in Sweep.read(one).jobs():
        a, b = one / job.folder, other / job.folder
        for path in sorted((a / "checkpoints").glob("*.ckpt")):
            assert_bit_equal(state(a, path.name), state(b, path.name), f"{job.folder}/{path.name}")
        assert metrics(a) == metrics(b)
        assert [r["values"] for r in scores.read(a)] == [r["values"] for r in scores.read(b)]
        assert all((b / picture).is_file() for r in scores.read(b) for picture in r["pictures"].values())
        for path in sorted((a / "samples").iterdir()):
            assert path.read_bytes() == (b / "samples" / path.name).read_bytes(), path
    assert not [name for name in files(other) if name.endswith(".part")]


@pytest.mark.slow
@pytest.mark.parametrize("words_of", [WORDS, SEARCH], ids=["grid", "search"])
def test_killing_the_whole_process_group_at_random_moments_loses_nothing(
    tmp_path: Path, words_of: tuple[str, ...]
) -> None:
    whole, generator = tmp_path / "whole", random.Random(0)
    began = time.monotonic()
    assert start(["train", "-m", *words_of, f"run.dir={whole}"]).wait(600) == 0
    seconds = time.monotonic() - began
    for number in range(MOMENTS):
        folder, moment = tmp_path / f"killed_{number}", generator.uniform(0.05, 1.0) * seconds
        words = ["train", "-m", *words_of, f"run.dir={folder}"]
        while True:  # a short life may have ended before the folder was there
            process = start(words)
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            print(f"killed after {moment:.1f} of {seconds:.1f} seconds: {files(folder)[-3:]}", flush=True)
            if (folder / "sweep.yaml").exists():
                break
        states = [job.state for job in Sweep.read(folder).jobs()]
        assert start(["resume", str(folder)]).wait(600) == 0
        print(f"resumed from {states}", flush=True)
        assert_same(whole, folder)
