"""A job of a sweep: it waits for whoever trains in its folder, and its objective is read from its scores."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from support.jobs import Jobs
from support.runs import TINY

from ganlab.config import compose
from ganlab.evaluation import scores
from ganlab.runs import run_folder
from ganlab.runs.sweeps import objective, record
from ganlab.runs.sweeps.job import Play
from ganlab.runs.sweeps.record import Sweep


def test_a_job_waits_for_the_process_that_trains_in_its_folder(
    tmp_path: Path, jobs: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sweep that started it was killed, and the process writes its last checkpoint."""
    sweep = Sweep(tmp_path, (*TINY, "seed=0,1"))
    sweep.write()
    (job, _) = sweep.add([(0, {"seed": "0"}), (1, {"seed": "1"})])
    play = threading.Thread(target=Play(sweep, 0).run)
    with run_folder.claimed(sweep.run_folder(job)):
        play.start()
        play.join(1.5)
        assert play.is_alive()
        assert jobs.started == []
    play.join(20)
    assert [folder.name for folder in jobs.folders] == ["0_seed-0"]
    assert capsys.readouterr().out.count("waits for the process that trains in") == 1


def a_record(during: bool, selected: bool, iteration: int, split: str = "validation", **values: float | None) -> Any:
    return {
        "during_training": during,
        "selected_on": selected,
        "protocol": {"reference": {"split": split}},
        "subject": {"kind": "run", "iteration": iteration, "kimg": iteration / 10},
        "values": {
            name: {"value": value, "better": "lower" if name == "fid" else "higher", "real": None}
            for name, value in values.items()
        },
    }


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The records that a run's scores are read from."""
    records: list[Any] = []
    monkeypatch.setattr(scores, "read", lambda folder: records)
    return records


def test_the_objective_is_the_score_of_the_best_checkpoint(tmp_path: Path, written: list[Any]) -> None:
    config = compose.read([*TINY, "evaluate.every_kimg=1", "evaluate.metrics=[fid,prdc]"])
    assert objective.best(tmp_path, config, None) is None
    written += [
        a_record(True, True, 10, fid=9.0, precision=1.5), a_record(True, True, 20, fid=5.0, precision=2.5),
        a_record(True, False, 30, fid=7.0, precision=3.5), a_record(False, False, 30, "test", fid=1.0),
    ]  # fmt: skip
    assert objective.best(tmp_path, config, None) == objective.Objective("fid", 5.0, 5.0, 2.0)
    assert objective.best(tmp_path, config, "precision") == objective.Objective("precision", 2.5, -2.5, 2.0)
    assert [score.value for score in objective.during_training(tmp_path, "fid")] == [9.0, 5.0, 7.0]


def test_a_run_that_was_not_scored_during_training_has_the_score_of_its_split(
    tmp_path: Path, written: list[Any]
) -> None:
    config = compose.read([*TINY, "evaluate.samples=64"])
    written += [a_record(False, False, 30, "test", fid=1.0), a_record(False, False, 30, fid=2.0)]
    found = objective.best(tmp_path, config, None)
    assert found is not None
    assert found.value == 2.0
    assert objective.evaluation(config) == ["metrics=fid", "reference=validation", "real=false", "samples=64"]
    written.append(a_record(False, False, 30, fid=None))
    assert objective.best(tmp_path, config, None) is None


def test_a_job_without_its_objective_has_failed(tmp_path: Path, jobs: Jobs, written: list[Any]) -> None:
    sweep = Sweep(tmp_path, (*TINY, "sweep.objective=fid"))
    sweep.write()
    sweep.add([(0, {})])
    outcome = Play(sweep, 0).run()
    assert outcome.job.state == record.FAILED
    assert outcome.job.error == "It has no number for fid, the objective of the sweep."
    assert [command for command, _ in jobs.started] == ["train", "evaluate"]
