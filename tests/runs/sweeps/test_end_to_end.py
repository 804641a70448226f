"""Sweeps as a user starts them: processes, two ranks a job, a plug-in's loss, a job that fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.runs import TINY, Start, state

from ganlab.runs.sweeps.record import Sweep

SWEEP = ("trainer.devices=1,2,999", "loss=smoothed_logistic", "trainer.max_steps=2")


@pytest.mark.slow
@pytest.mark.parametrize("at_a_time", [1, 2])
def test_jobs_of_several_processes_train_and_one_that_fails_has_its_sentence(
    tmp_path: Path, command: Start, at_a_time: int
) -> None:
    folder = tmp_path / "sweep"
    code, out, err = command("train", "-m", *TINY, *SWEEP, f"sweep.jobs={at_a_time}", f"run.dir={folder}").end(600)
    assert code == 1, err
    assert "Traceback" not in err
    assert "2 of 3 jobs finished." in out
    done, two_ranks, failed = Sweep.read(folder).jobs()
    assert [job.state for job in (done, two_ranks, failed)] == ["done", "done", "failed"]
    assert str(failed.error).startswith("trainer.devices=999, but this machine has ")
    assert [state(folder / job.folder)["ganlab"]["progress"]["iteration"] for job in (done, two_ranks)] == [2, 2]
    assert "loss smoothed_logistic" not in out, "jobs print into their folders"
    assert (folder / two_ranks.folder / "output.txt").read_text().count("length: 2 iterations") == 1


@pytest.mark.slow
def test_an_objective_is_measured_when_it_is_asked_for(tmp_path: Path, command: Start) -> None:
    folder = tmp_path / "sweep"
    words = ("trainer.max_steps=2", "sweep.objective=fid", "evaluate.samples=64", "seed=0")
    code, _, err = command("train", "-m", *TINY, *words, f"run.dir={folder}").end(600)
    assert code == 0, err
    (only,) = Sweep.read(folder).jobs()
    assert only.objective is not None
    assert only.objective > 0
