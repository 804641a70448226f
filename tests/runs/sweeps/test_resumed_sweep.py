"""`ganlab resume SWEEP`: finished jobs are kept, others go on or start, and a damaged or foreign record is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.jobs import Jobs
from support.runs import TINY

from ganlab.core.errors import GanlabError
from ganlab.runs import run_folder
from ganlab.runs.sweeps import job as of_job
from ganlab.runs.sweeps import record, sweep
from ganlab.runs.sweeps.record import Sweep


@pytest.fixture
def begun(tmp_path: Path, jobs: Jobs) -> Path:
    """A sweep of four jobs: done, failed, killed with a checkpoint, missing."""
    jobs.codes.extend([0, 2, 143])
    folder = tmp_path / "sweep"
    assert sweep.start([*TINY, f"run.dir={folder}", "seed=0,1,2,3"]) == 143
    checkpoints = folder / "2_seed-2" / run_folder.CHECKPOINTS
    checkpoints.mkdir()
    (checkpoints / "last.ckpt").touch()
    Sweep.read(folder).update(2, state=record.RUNNING)  # as SIGKILL leaves it
    jobs.started.clear()
    return folder


def states(folder: Path) -> list[str]:
    return [job.state for job in Sweep.read(folder).jobs()]


def test_finished_jobs_are_kept_and_the_others_done(
    begun: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(of_job, "_is_complete", lambda folder, config: False)
    before = Sweep.read(begun).jobs()[0]
    assert sweep.resume(begun, []) == 0
    assert [(command, folder.name) for command, folder in jobs.started] == [
        ("train", "1_seed-1"), ("resume", "2_seed-2"), ("train", "3_seed-3"),
    ]  # fmt: skip
    assert states(begun) == ["done"] * 4
    assert Sweep.read(begun).jobs()[0] == before
    assert "1 failed job is tried again." in capsys.readouterr().out


def test_a_complete_sweep_says_so(begun: Path, jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        Sweep.read(begun).ends(number, record.DONE)
    assert sweep.resume(begun, []) == 0
    assert jobs.started == []
    assert "is complete: all of its 4 jobs are done." in capsys.readouterr().out


def test_a_job_that_ended_unseen_is_not_trained_again(begun: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep was killed between the end of a job and its line."""
    monkeypatch.setattr(of_job, "_is_complete", lambda folder, config: True)
    assert sweep.resume(begun, []) == 0
    assert [folder.name for folder in jobs.folders] == ["1_seed-1", "3_seed-3"]


def test_a_job_that_fails_again_is_the_sweeps_failure(begun: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_job, "_is_complete", lambda folder, config: True)
    jobs.codes.extend([2, 0])
    assert sweep.resume(begun, []) == 1
    assert states(begun) == ["done", "failed", "done", "done"]


def test_a_sweep_without_its_record_starts_from_its_words(begun: Path, jobs: Jobs) -> None:
    """It was killed between the two files."""
    (begun / record.JOBS).unlink()
    (begun / "2_seed-2" / run_folder.CHECKPOINTS / "last.ckpt").unlink()
    assert sweep.resume(begun, []) == 0
    assert states(begun) == ["done"] * 4


def test_how_a_sweep_runs_may_change_and_is_kept(begun: Path, jobs: Jobs) -> None:
    (begun / "2_seed-2" / run_folder.CHECKPOINTS / "last.ckpt").unlink()
    jobs.codes.append(2)
    assert sweep.resume(begun, ["sweep.fail=stop"]) == 1
    assert states(begun) == ["done", "failed", "queued", "queued"]
    assert "sweep.fail=stop" in Sweep.read(begun).words


def test_a_shuffled_sweep_keeps_its_order(tmp_path: Path, jobs: Jobs) -> None:
    assert sweep.start([*TINY, f"run.dir={tmp_path / 's'}", "seed=shuffle(range(0,9))"]) == 0
    found = Sweep.read(tmp_path / "s")
    assert "shuffle" not in " ".join(found.words)
    assert [job.values["seed"] for job in found.jobs()] == found.words[-1].partition("=")[2].split(",")
    assert sorted(run_folder.read_config(folder).seed for folder in jobs.folders) == list(range(9))


def test_a_pattern_names_the_choices_of_its_day(tmp_path: Path, jobs: Jobs) -> None:
    assert sweep.start([*TINY, f"run.dir={tmp_path / 's'}", "loss=glob(relativistic*)"]) == 0
    assert Sweep.read(tmp_path / "s").words[-1] == "loss=relativistic,relativistic_average"
    assert len(jobs.folders) == 2


def test_a_folder_without_sweep_or_run_is_refused(tmp_path: Path) -> None:
    from ganlab import cli

    with pytest.raises(GanlabError, match="so it is no run folder"):
        cli.dispatch(["resume", str(tmp_path)])


def test_options_of_a_sweep_are_refused_for_one_run(tmp_path: Path) -> None:
    from ganlab import cli

    for word in ("sweep.jobs=2", "hydra/launcher=joblib", "hydra.sweeper.x=1"):
        with pytest.raises(GanlabError, match="is an option of a sweep, and this is one run: write `ganlab train -m`"):
            cli.dispatch(["train", word])
