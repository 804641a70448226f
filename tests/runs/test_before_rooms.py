"""Run folders of the version before the rooms still work, and what others rely on is as it was there.

tests/runs/fixtures/make_before_rooms.py made the folders, and kept what that version did with them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import torch
from support.runs import Train, metrics
from torch.testing import assert_close

import ganlab
from ganlab import cli
from ganlab.runs import checkpoints, run_folder

OLD = Path(__file__).parent / "fixtures/before_rooms"
EXPECTED: dict[str, Any] = json.loads((OLD / "expected.json").read_text())
TRAINED = [name for name, about in EXPECTED.items() if "metrics" in about]
GROUPS = (
    "generators", "discriminators", "encoders", "statistics", "losses", "regularizers", "augmentations", "games",
    "growths", "datasets", "metrics", "features", "priors", "optimizers",
)  # fmt: skip
# between machines and versions of torch; a run whose optimizers begin anew is off by 2e-3 after two iterations
TOLERANCE = {"rtol": 3e-4, "atol": 3e-4}


@pytest.fixture
def old(tmp_path: Path) -> Callable[[str], Path]:
    """``old(name)``: a copy of an old run folder, at a place where it was not made."""
    return lambda name: Path(shutil.copytree(OLD / name, tmp_path / name))


@pytest.mark.parametrize("name", TRAINED)
def test_an_old_run_goes_on_as_it_did(name: str, old: Callable[[str], Path]) -> None:
    folder = old(name)
    before, expected = metrics(folder), EXPECTED[name]["metrics"]
    assert cli.dispatch(["resume", str(folder), f"trainer.max_steps={expected[-1]['iteration']}"]) == 0
    lines = metrics(folder)
    assert lines[: len(before)] == before
    assert len(lines) == len(before) + len(expected)
    for line, wanted in zip(lines[len(before) :], expected, strict=True):
        wanted.pop("images_per_second", None)
        assert {key: line[key] for key in wanted} == pytest.approx(wanted, rel=TOLERANCE["rtol"], abs=TOLERANCE["atol"])


def test_the_average_of_an_old_run_goes_on(old: Callable[[str], Path]) -> None:
    """w̄ <- b·w̄ + (1 - b)·w, b = 2^(-images / half-life). No scalar of a run depends on it."""
    folder = old("growing")  # of the others, averages are what they began as or copies, but for rounding
    path = folder / run_folder.CHECKPOINTS / checkpoints.LAST
    before = checkpoints.load(path)
    assert cli.dispatch(["resume", str(folder), f"trainer.max_steps={before['global_step'] + 1}"]) == 0
    after, ema = checkpoints.load(path), run_folder.read_config(folder).ema
    seen, then = (checkpoint["ganlab"]["progress"]["images_seen"] for checkpoint in (before, after))
    half_life = min(1000 * ema.half_life_kimg, seen * (ema.ramp_up or torch.inf))
    decay = 0.5 ** ((then - seen) / half_life)
    assert decay > 0.02  # so the older one shows
    for key, _ in ganlab.load(folder).module.average.named_parameters():
        weights, average, old_average = (
            checkpoint["state_dict"][f"{part}.{key}"]
            for checkpoint, part in ((after, "game"), (after, "average"), (before, "average"))
        )
        assert_close(average, decay * old_average + (1 - decay) * weights)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_old_run_samples_what_it_did(name: str, old: Callable[[str], Path]) -> None:
    folder = old(name)
    images = ganlab.load(folder).sample(4, seed=1).flatten()[:256]
    assert_close(images, torch.tensor(EXPECTED[name]["samples"]), rtol=TOLERANCE["rtol"], atol=TOLERANCE["atol"])
    assert cli.dispatch(["sample", str(folder), "count=4", f"out={folder / 'grid.png'}"]) == 0
    assert (folder / "grid.png").stat().st_size > 0


@pytest.mark.parametrize("name", [name for name in TRAINED if name != "plain"])
def test_an_old_run_is_evaluated(name: str, old: Callable[[str], Path]) -> None:
    folder = old(name)
    assert cli.dispatch(["evaluate", str(folder), "metrics=spectrum", "samples=40", "real=false"]) == 0
    (record,) = (json.loads(line) for line in (folder / "evaluation.jsonl").read_text().splitlines())
    assert record["values"]["spectrum"]["value"] > 0


@pytest.mark.parametrize("name", ["plain", "imported"])
def test_a_new_run_begins_with_the_weights_of_an_old_one(name: str, old: Callable[[str], Path], tmp_path: Path) -> None:
    short = ("trainer.max_steps=1", "trainer.accelerator=cpu", "data.batch_size=8", "sample.count=10")
    words = [f"init={old(name)}", *short, "optimizer.generator.lr=0", "ema.half_life_kimg=0"]
    assert cli.dispatch(["train", *words, f"run.dir={tmp_path / 'new'}"]) == 0
    ours, theirs = (dict(ganlab.load(f).generator.named_parameters()) for f in (tmp_path / "new", OLD / name))
    shared = [n for n in theirs if theirs[n].shape == ours[n].shape]  # those of each class may be other ones
    assert shared
    for n in shared:
        assert_close(ours[n], theirs[n])


def test_an_old_evaluation_is_repeated_under_its_protocol(old: Callable[[str], Path]) -> None:
    folder = old("plain")
    cli.dispatch(["evaluate", str(folder), "metrics=fid,kid", "samples=40", "real=false"])
    lines = [json.loads(line) for line in (folder / "evaluation.jsonl").read_text().splitlines()]
    theirs = next(line for line in lines if line["subject"]["kind"] == "run")
    assert (lines[-1]["protocol_hash"], lines[-1]["protocol"]) == (theirs["protocol_hash"], theirs["protocol"])
    for name, score in theirs["values"].items():
        assert lines[-1]["values"][name]["value"] == pytest.approx(score["value"], rel=TOLERANCE["rtol"])


def test_entry_point_groups_have_the_names_that_plug_ins_use() -> None:
    installed = entry_points()
    assert {f"ganlab.{group}" for group in GROUPS} <= installed.groups


def test_a_run_has_files_of_the_same_names(finished: Path) -> None:
    assert (finished / "config.yaml").is_file()
    assert (finished / "metrics.jsonl").is_file()
    assert (finished / "environment.json").is_file()
    saved = sorted(path.name for path in (finished / "checkpoints").iterdir())
    assert saved == ["last.ckpt", "step_000000002.ckpt", "step_000000003.ckpt"]
    grids = sorted(path.name for path in (finished / "samples").iterdir())
    assert grids == ["iteration_000000002.png", "iteration_000000004.png"]


def keys(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted names of a configuration, mappings included."""
    for name, value in tree.items():
        yield prefix + name
        if isinstance(value, Mapping):
            yield from keys(value, f"{prefix}{name}.")


SAME_RUNS = {
    "plain": [],
    "regularized": ["reg=[r1,sn,vib]", "reg.r1.interval_steps=2", "reg.vib.channels=4", "ema.ramp_up=null"],
    "bigan": ["game=bigan", "encoder.width=4", "game.width=8"],
}


@pytest.mark.parametrize("name", SAME_RUNS)
def test_keys_of_configuration_and_checkpoint_are_as_they_were(name: str, train: Train) -> None:
    folder = train(*SAME_RUNS[name], steps=2)
    theirs, ours = (set(keys(run_folder.read_config(path).plain())) for path in (OLD / name, folder))
    assert theirs <= ours
    old_file, new_file = (
        checkpoints.load(path / run_folder.CHECKPOINTS / checkpoints.LAST) for path in (OLD / name, folder)
    )
    assert set(old_file) <= set(new_file)
    assert set(old_file["ganlab"]) <= set(new_file["ganlab"])
    assert list(new_file["state_dict"]) == list(old_file["state_dict"])
    assert {key.split(".")[0] for key in new_file["state_dict"]} <= {"game", "average", "regularizers"}
    assert len(new_file["optimizer_states"]) == len(old_file["optimizer_states"])
