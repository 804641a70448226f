"""A study: a planted optimum is found, and one that was killed goes on as if it had not been."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

pytest.importorskip("optuna")

from optuna.trial import Trial

from ganlab.config import command_line
from ganlab.core.errors import GanlabError
from ganlab.runs.sweeps import search_space
from ganlab.runs.sweeps.study import FILE, SAMPLERS, SearchOptions, Study


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna flushes each line to the disk, which takes most of the time."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


SPACE = ("lr=tag(log,interval(1e-5,1e-1))", "width=range(1,10)", "reg=none,[sn,ortho]")


def study(folder: Path, *words: str, **options: object) -> Study:
    folder.mkdir(exist_ok=True)
    axes = search_space.axes([command_line.read(word) for word in words or SPACE])
    return Study(folder, axes, SearchOptions(**options))  # type: ignore[arg-type]


def loss(values: Mapping[str, str]) -> float:
    """The least, 0, is at lr=1e-3, width=4, reg=none."""
    return (math.log10(float(values["lr"])) + 3) ** 2 + (int(values["width"]) - 4) ** 2 / 10 + (values["reg"] != "none")


def played(of: Study, count: int) -> list[dict[str, str]]:
    """Run trials one at a time; return their values."""
    found = []
    for _ in range(count):
        trial = of.ask()
        found.append(of.words(trial))
        of.tell(trial, loss(found[-1]))
    return found


def test_it_finds_a_planted_optimum(tmp_path: Path) -> None:
    losses = [loss(values) for values in played(study(tmp_path), 30)]
    assert min(losses) < 0.1
    assert sum(losses[-10:]) < sum(losses[:10]), "the first ten are random"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_one_that_is_killed_between_any_two_jobs_goes_on_with_the_same_values(tmp_path: Path, sampler: str) -> None:
    space = ("lr=1e-4,1e-3", *SPACE[1:]) if sampler == "grid" else SPACE
    whole = played(study(tmp_path / "whole", *space, sampler=sampler, startup_trials=3), 5)
    parts = []
    for _ in range(5):
        parts += played(study(tmp_path / "parts", *space, sampler=sampler, startup_trials=3), 1)
    assert parts == whole
    assert len({json.dumps(values) for values in whole}) > 2, "the values differ between jobs"


def test_seeds_give_other_values(tmp_path: Path) -> None:
    assert played(study(tmp_path / "a", seed=0), 3) != played(study(tmp_path / "b", seed=1), 3)


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 4])
def test_a_job_without_a_result_is_given_again_with_its_values(tmp_path: Path, lines: int) -> None:
    """The process was killed while it wrote the values, of which this many lines are missing."""
    before = study(tmp_path)
    played(before, 2)
    expected = before.words(before.ask())
    path = tmp_path / FILE
    kept = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(kept[: len(kept) - lines]) + b'{"torn')
    after = study(tmp_path)
    opened = list(after.open())
    assert len(opened) == (lines == 0)
    trial = opened[0] if opened else after.ask()
    assert (trial.number, after.words(trial)) == (2, expected)
    assert len(after) == 3
    after.tell(trial, 1.0)
    assert list(after.open()) == []


def scored(of: Study, trial: Trial, losses: Mapping[int, float]) -> bool:
    """Tell if a job with these scores is given up."""
    of.report(trial, losses)
    return of.is_hopeless(trial)


def test_the_median_rule_gives_up_a_job_that_is_worse_than_half_of_those_before(tmp_path: Path) -> None:
    found = study(tmp_path, prune_startup_trials=3)
    for losses in ({1: 5.0, 2: 4.0}, {1: 6.0, 2: 3.0}, {1: 7.0, 2: 2.0}):
        trial = found.ask()
        assert not scored(found, trial, losses), "too few have finished"
        found.tell(trial, losses[2])
    worse, better = found.ask(), found.ask()
    assert not scored(found, better, {1: 5.9})
    assert not scored(found, worse, {})
    assert scored(found, worse, {1: 6.1})
    found.tell(worse, None)
    assert not scored(found, better, {1: 5.9, 2: 2.9})


@pytest.mark.parametrize("options", [{"prune": False}, {"prune_warmup_scores": 1}])
def test_no_job_is_given_up_that_need_not_be(tmp_path: Path, options: dict[str, object]) -> None:
    found = study(tmp_path, prune_startup_trials=1, **options)
    trial = found.ask()
    found.report(trial, {1: 1.0, 2: 1.0})
    found.tell(trial, 1.0)
    trial = found.ask()
    assert not scored(found, trial, {1: 9.0})
    assert scored(found, trial, {1: 9.0, 2: 9.0}) == ("prune" not in options)


def test_a_grid_ends(tmp_path: Path) -> None:
    found = study(tmp_path, "width=1,2", "reg=none,sn", sampler="grid")
    values = []
    while not found.is_exhausted:
        trial = found.ask()
        values.append(found.words(trial))
        found.tell(trial, 1.0)
    assert sorted(tuple(each.values()) for each in values) == [("1", "none"), ("1", "sn"), ("2", "none"), ("2", "sn")]


@pytest.mark.parametrize("content", [b"[1]\n", b'{"op_code":0,"worker_id":"a","study_name":"b"}\n'])
def test_a_foreign_file_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(GanlabError, match="is not the study of this sweep"):
        study(tmp_path)


def test_a_study_of_other_values_is_refused_in_a_sentence(tmp_path: Path) -> None:
    before = study(tmp_path, "reg=none,sn")
    before.words(before.ask())
    after = study(tmp_path, "reg=none,ortho")
    (trial,) = after.open()
    with pytest.raises(GanlabError, match="is not the study of this sweep"):
        after.words(trial)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(GanlabError, match="cannot be opened"):
        study(tmp_path)
