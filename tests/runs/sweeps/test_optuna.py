"""Searching sweeps: values by the objectives before, jobs that are given up, sweeps that were killed."""

from __future__ import annotations

import json
import math
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna")

from hydra._internal.core_plugins import basic_launcher
from hydra.core.plugins import Plugins
from support import records
from support.jobs import Jobs
from support.runs import TINY

from ganlab.core.errors import GanlabError
from ganlab.evaluation import scores
from ganlab.runs import run_folder
from ganlab.runs.sweeps import job, sweep
from ganlab.runs.sweeps.record import Job, Sweep
from ganlab.runs.sweeps.study import FILE

LR = "optimizer.generator.lr=tag(log,interval(1e-5,1e-1))"
SEARCH = ("hydra/sweeper=optuna", "evaluate.every_kimg=1")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna flushes each line to the disk, which takes most of the time."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def run(folder: Path, *options: str) -> int:
    return sweep.start([*TINY, *SEARCH, f"run.dir={folder}", *options])


def rows(folder: Path) -> list[Job]:
    return Sweep.read(folder).jobs()


def score(folder: Path, number: float, iteration: int = 100, better: str = "lower") -> None:
    value = {"fid": records.value(number, better=better)}
    scores.append(folder, records.record(iteration, during_training=True, selected_on=True, values=value))


def told(folder: Path, state: int) -> list[float]:
    """Read the results of trials that are complete (1) or pruned (2) from the study."""
    lines = [json.loads(line) for line in (folder / FILE).read_text().splitlines()]
    return [line["values"][0] for line in lines if line["op_code"] == 6 and line["state"] == state]


def planted(folder: Path) -> None:
    """Score a run: the optimum, 1, is at a generator's learning rate of 1e-3, without regularizers."""
    config: Mapping[str, Any] = run_folder.read_config(folder).plain()
    score(folder, 1 + (math.log10(config["optimizer"]["generator"]["lr"]) + 3) ** 2 + len(config["reg"]))


def test_it_finds_a_planted_optimum(tmp_path: Path, jobs: Jobs) -> None:
    jobs.act = planted
    assert run(tmp_path / "sweep", LR, "reg=none,sn", "sweep.trials=16", "hydra.sweeper.startup_trials=6") == 0
    found = rows(tmp_path / "sweep")
    assert len(found) == len(jobs.started) == 16
    assert {row.state for row in found} == {"done"}
    best = min(found, key=lambda row: row.objective or math.inf)
    assert best.values["reg"] == "none"
    assert 5e-4 < float(best.values["optimizer.generator.lr"]) < 2e-3
    assert [row.folder.split("_")[0] for row in found] == [str(number) for number in range(16)]


@pytest.mark.parametrize(("better", "sign"), [("lower", 1), ("higher", -1)])
def test_the_metric_says_what_is_better(tmp_path: Path, jobs: Jobs, better: str, sign: int) -> None:
    jobs.act = lambda folder: score(folder, 1 + run_folder.read_config(folder).seed, better=better)
    assert run(tmp_path / "sweep", "seed=0,1", "sweep.trials=2", "hydra.sweeper.sampler=grid") == 0
    assert sorted(told(tmp_path / "sweep", 1)) == sorted([sign * 1.0, sign * 2.0])
    assert sorted(row.objective or 0 for row in rows(tmp_path / "sweep")) == [1.0, 2.0]


def test_a_search_that_is_killed_and_resumed_is_one_that_was_not(tmp_path: Path, jobs: Jobs) -> None:
    jobs.act = planted
    options = (LR, "reg=none,sn", "sweep.trials=6", "hydra.sweeper.startup_trials=2")
    run(tmp_path / "whole", *options)

    class Killed(BaseException):
        pass

    def kill(folder: Path) -> None:
        if len(jobs.started) - 6 in (2, 5):
            raise Killed
        planted(folder)

    jobs.act = kill
    folder = tmp_path / "killed"
    with pytest.raises(Killed):
        run(folder, *options)
    for _ in range(2):
        assert [row.state for row in rows(folder)].count("running") == 1
        try:
            code = sweep.resume(folder, [])
        except Killed:
            continue
    assert code == 0
    assert [(r.values, r.objective, r.state) for r in rows(folder)] == [
        (r.values, r.objective, r.state) for r in rows(tmp_path / "whole")
    ]
    assert len(jobs.started) == 6 + 6 + 2, "no job is lost, and none is done twice but the two that were killed"


def test_resume_of_a_complete_search_does_nothing(
    tmp_path: Path, jobs: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs.act = planted
    run(tmp_path / "sweep", LR, "sweep.trials=2")
    assert sweep.resume(tmp_path / "sweep", []) == 0
    assert len(jobs.started) == 2
    assert "is complete" in capsys.readouterr().out
    assert sweep.resume(tmp_path / "sweep", ["sweep.trials=3"]) == 0
    assert len(jobs.started) == 3


def test_failed_jobs_are_told_and_tried_again_with_their_values(tmp_path: Path, jobs: Jobs) -> None:
    jobs.act, jobs.codes = planted, [0, 2, 0]
    assert run(tmp_path / "sweep", LR, "sweep.trials=3") == 1
    before = rows(tmp_path / "sweep")
    assert [row.state for row in before] == ["done", "failed", "done"]
    assert before[1].error
    assert sweep.resume(tmp_path / "sweep", []) == 0
    after = rows(tmp_path / "sweep")
    assert [row.state for row in after] == ["done"] * 3
    assert [row.values for row in after] == [row.values for row in before]
    assert len(jobs.started) == 4


def test_a_job_without_a_number_has_failed(tmp_path: Path, jobs: Jobs) -> None:
    jobs.act = lambda folder: score(folder, math.nan)
    assert run(tmp_path / "sweep", LR, "sweep.trials=1") == 1
    (row,) = rows(tmp_path / "sweep")
    assert row.error == "It has no number for fid, the objective of the sweep."


def test_a_grid_runs_each_combination_once(tmp_path: Path, jobs: Jobs) -> None:
    jobs.act = planted
    assert run(tmp_path / "sweep", "reg=none,sn", "seed=0,1", "hydra.sweeper.sampler=grid") == 0
    found = [tuple(row.values.values()) for row in rows(tmp_path / "sweep")]
    assert sorted(found) == [("none", "0"), ("none", "1"), ("sn", "0"), ("sn", "1")]
    assert sweep.resume(tmp_path / "sweep", []) == 0, "the name of the sampler is taken from the record"
    assert len(jobs.started) == 4


class Slow:
    """A process that has one score, and trains on until it is stopped if the score is bad."""

    stdin = None

    def __init__(self, folder: Path) -> None:
        self.folder, self.stopped, self.scored = folder, threading.Event(), False

    def wait(self, timeout: float | None = None) -> int:
        if not self.scored:
            self.scored = True
            seed = run_folder.read_config(self.folder).seed
            score(self.folder, seed)
        if run_folder.read_config(self.folder).seed < 4:
            return 0
        if self.stopped.wait(20 if timeout is None else 0.1):
            return 143
        raise subprocess.TimeoutExpired("", 0.1)

    def send_signal(self, number: int) -> None:
        self.stopped.set()


@pytest.mark.parametrize("launcher", ["ganlab", "basic"])
def test_a_hopeless_job_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: str) -> None:
    """With Hydra's launcher the job, which may be on any machine, reads in the record that it is given up."""
    monkeypatch.setattr(job, "start", lambda folder, *others: Slow(folder))
    options = ("hydra.sweeper.prune_startup_trials=2", "hydra.sweeper.sampler=grid", f"hydra/launcher={launcher}")
    assert run(tmp_path / "sweep", "seed=1,2,3,8,9", *options) == 0
    found = {row.values["seed"]: row.state for row in rows(tmp_path / "sweep")}
    assert found == {"1": "done", "2": "done", "3": "done", "8": "pruned", "9": "pruned"}
    assert told(tmp_path / "sweep", 2) == [8.0, 9.0]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("loss=hinge",), "hydra/sweeper=optuna has nothing to search"),
        (("seed=0,1", "hydra.sweeper.sampler=tpee"), r"hydra\.sweeper\.sampler must be one of .*'tpee'"),
        (("seed=0,1", "hydra.sweeper.samplr=tpe"), r"hydra\.sweeper\.samplr is no option\. Did you mean 'sampler'"),
        (("seed=0,1", "hydra.sweeper.startup_trials=0"), r"hydra\.sweeper\.startup_trials must be at least 1"),
        ((LR, "hydra.sweeper.sampler=grid"), "no end of them: name the values"),
        (("seed=tag(log,interval(0,1))",), "the logarithm needs positive numbers, got 0"),
        (("seed=tag(lgo,interval(1,2))",), "there is no tag 'lgo', only log"),
        (("optimizer.generator.lr=interval(2,1)",), "two finite numbers in order"),
        (("checkpoint.keep=int(interval(-1,4))",), r"checkpoint\.keep must be at least 0"),
        (("seed=0,1", "sweep.objective=kid"), "sweep.objective=kid is not scored"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_the_first_job(
    tmp_path: Path, jobs: Jobs, words: Sequence[str], sentence: str
) -> None:
    with pytest.raises(GanlabError, match=sentence):
        run(tmp_path / "sweep", *words)
    assert jobs.started == []
    assert not (tmp_path / "sweep").exists()


def test_a_launcher_that_fails_is_a_failed_job_with_its_sentence(
    tmp_path: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def launch(self: Any, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Any:
        if initial_job_idx == 1:
            raise RuntimeError("the cluster is gone")
        return launched(self, job_overrides, initial_job_idx)

    Plugins.instance()  # executes the module again
    jobs.act, launched = planted, basic_launcher.BasicLauncher.launch
    monkeypatch.setattr(basic_launcher.BasicLauncher, "launch", launch)
    assert run(tmp_path / "sweep", LR, "sweep.trials=3", "hydra/launcher=basic") == 1
    found = rows(tmp_path / "sweep")
    assert [(row.state, row.error) for row in found] == [
        ("done", None),
        ("failed", "the cluster is gone."),
        ("done", None),
    ]


def test_an_interrupted_job_ends_the_search(tmp_path: Path, jobs: Jobs) -> None:
    jobs.act, jobs.codes = planted, [0, 143]
    assert run(tmp_path / "sweep", LR, "sweep.trials=4") == 143
    assert [row.state for row in rows(tmp_path / "sweep")][:2] == ["done", "stopped"]
