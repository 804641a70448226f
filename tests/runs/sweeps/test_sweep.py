"""Sweeps: which jobs there are, that a wrong value stops the first, that a failing one stops no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.disk import fill
from support.jobs import Jobs
from support.runs import TINY

from ganlab.config.configuration import Config
from ganlab.core.errors import GanlabError
from ganlab.runs import run_folder
from ganlab.runs.sweeps import sweep
from ganlab.runs.sweeps.record import Sweep


def run(tmp_path: Path, *options: str) -> int:
    return sweep.start([*TINY, f"run.dir={tmp_path / 'sweep'}", *options])


def states(tmp_path: Path) -> list[str]:
    return [job.state for job in Sweep.read(tmp_path / "sweep").jobs()]


def test_a_job_is_called_after_what_the_sweep_varies(tmp_path: Path, jobs: Jobs) -> None:
    assert run(tmp_path, "reg=none,sn", "seed=0,1") == 0
    names = ["0_reg-none_seed-0", "1_reg-none_seed-1", "2_reg-sn_seed-0", "3_reg-sn_seed-1"]
    assert [folder.name for folder in jobs.folders] == names
    for folder in jobs.folders:
        config = run_folder.read_config(folder)
        assert config.run.dir == str(folder)
        assert config.seed == int(folder.name[-1])
        assert list(config.of("reg")) == (["sn"] if "reg-sn" in folder.name else [])


def test_a_list_is_one_value(tmp_path: Path, jobs: Jobs) -> None:
    assert run(tmp_path, "reg=none,[sn,ortho]") == 0
    assert [list(run_folder.read_config(f).of("reg")) for f in jobs.folders] == [[], ["sn", "ortho"]]
    assert jobs.folders[1].name == "1_reg-sn,ortho"


def test_options_of_what_only_one_value_brings_can_be_set(tmp_path: Path, jobs: Jobs) -> None:
    """Hydra would refuse the option of the encoder, which the game brings."""
    assert run(tmp_path, "game=bigan", "encoder.width=8,16") == 0
    assert [run_folder.read_config(f)["encoder"].options["width"] for f in jobs.folders] == [8, 16]


@pytest.mark.parametrize(
    "option",
    ["loss=hinge,wasserstien", "seed=0,1,x", "reg=none,sn,snn", "data.batch_size=8,0", "trainer.precision=32-true,16"],
)
def test_a_wrong_last_value_stops_the_sweep_before_its_first_job(tmp_path: Path, jobs: Jobs, option: str) -> None:
    with pytest.raises(GanlabError):
        run(tmp_path, option)
    assert jobs.started == []
    assert not (tmp_path / "sweep").exists()


def test_a_failing_job_does_not_stop_the_others(tmp_path: Path, jobs: Jobs, capfd: pytest.CaptureFixture[str]) -> None:
    jobs.codes.extend([0, 2, 0])
    assert run(tmp_path, "seed=0,1,2") == 1
    assert states(tmp_path) == ["done", "failed", "done"]
    out = capfd.readouterr().out
    assert "2 of 3 jobs finished." in out
    assert "Its process ended with exit code 2: see " in out


def test_sweep_fail_stop_starts_no_job_after_a_failed_one(tmp_path: Path, jobs: Jobs) -> None:
    jobs.codes.extend([0, 2, 0])
    assert run(tmp_path, "seed=0,1,2", "sweep.fail=stop") == 1
    assert states(tmp_path) == ["done", "failed", "queued"]


def test_jobs_whose_configuration_cannot_be_written_have_failed(
    small_disk: Path, jobs: Jobs, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, config: Config) -> None:
        fill(small_disk)
        write(folder, config)

    write = run_folder.write_config
    monkeypatch.setattr(run_folder, "write_config", full)
    assert sweep.start([*TINY, f"run.dir={small_disk / 'sweep'}", "seed=0"]) == 1
    captured = capfd.readouterr()
    assert captured.err.count("config.yaml cannot be written: No space left on device.\n") == 1
    assert "Traceback" not in captured.err
    assert "0 of 1 jobs finished." in captured.out
    assert jobs.started == []


def test_a_sweep_whose_folder_cannot_be_written_is_refused_in_one_sentence(small_disk: Path, jobs: Jobs) -> None:
    fill(small_disk)
    with pytest.raises(GanlabError, match=r"sweep.* cannot be (made|written): No space left on device\."):
        sweep.start([*TINY, f"run.dir={small_disk / 'sweep'}", "seed=0,1"])
    assert jobs.started == []


@pytest.mark.parametrize("code", [130, 143])
def test_an_interrupted_job_ends_the_sweep(
    tmp_path: Path, jobs: Jobs, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    jobs.codes.extend([0, code])
    assert run(tmp_path, "seed=0,1,2") == code
    assert states(tmp_path) == ["done", "stopped", "queued"]
    assert not (tmp_path / "sweep" / "2_seed-2").exists()
    assert "The sweep was interrupted." in capfd.readouterr().out


@pytest.mark.parametrize(("ends", "code"), [((0, 0), 0), ((0, 2), 1), ((2, 137), 1)])
def test_jobs_of_another_launcher_are_counted(
    tmp_path: Path, jobs: Jobs, capfd: pytest.CaptureFixture[str], ends: tuple[int, ...], code: int
) -> None:
    jobs.codes.extend(ends)
    assert run(tmp_path, "seed=0,1", "hydra/launcher=basic") == code
    assert f"{ends.count(0)} of 2 jobs finished." in capfd.readouterr().out
    assert states(tmp_path) == ["done" if end == 0 else "failed" for end in ends]


def test_a_job_that_was_killed_has_a_sentence(tmp_path: Path, jobs: Jobs) -> None:
    jobs.codes.append(-9)
    assert run(tmp_path, "seed=0") == 1
    (only,) = Sweep.read(tmp_path / "sweep").jobs()
    assert str(only.error).startswith("Its process was ended by SIGKILL")
