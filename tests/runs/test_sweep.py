"""Sweeps: which jobs there are, that a wrong value stops the first, that a failing one stops no other."""

import signal
from pathlib import Path

import pytest
from support.disk import fill
from support.runs import TINY

from ganlab.config.configuration import Config
from ganlab.core.errors import GanlabError
from ganlab.runs import run_folder, sweep

Codes = tuple[list[int], list[Path]]


@pytest.fixture
def codes(monkeypatch: pytest.MonkeyPatch) -> Codes:
    """Exit codes that the jobs will have; each job writes nothing."""
    planned: list[int] = []
    started: list[Path] = []

    def start(folder: Path, interrupted: list[int]) -> int:
        started.append(folder)
        return planned.pop(0) if planned else 0

    monkeypatch.setattr(sweep, "_start", start)
    return planned, started


def run(tmp_path: Path, *options: str) -> int:
    return sweep.run([*TINY, f"run.dir={tmp_path / 'sweep'}", *options])


def test_a_job_is_called_after_what_the_sweep_varies(tmp_path: Path, codes: Codes) -> None:
    assert run(tmp_path, "reg=none,sn", "seed=0,1") == 0
    names = ["0_reg-none_seed-0", "1_reg-none_seed-1", "2_reg-sn_seed-0", "3_reg-sn_seed-1"]
    assert [folder.name for folder in codes[1]] == names
    for folder in codes[1]:
        config = run_folder.read_config(folder)
        assert config.run.dir == str(folder)
        assert config.seed == int(folder.name[-1])
        assert list(config.of("reg")) == (["sn"] if "reg-sn" in folder.name else [])


def test_a_list_is_one_value(tmp_path: Path, codes: Codes) -> None:
    assert run(tmp_path, "reg=none,[sn,ortho]") == 0
    assert [list(run_folder.read_config(f).of("reg")) for f in codes[1]] == [[], ["sn", "ortho"]]


@pytest.mark.parametrize("option", ["loss=hinge,wasserstien", "seed=0,1,x", "reg=none,sn,snn", "data.batch_size=8,0"])
def test_a_wrong_last_value_stops_the_sweep_before_its_first_job(tmp_path: Path, codes: Codes, option: str) -> None:
    with pytest.raises(GanlabError):
        run(tmp_path, option)
    assert codes[1] == []
    assert not (tmp_path / "sweep").exists()


def test_a_failing_job_does_not_stop_the_others(
    tmp_path: Path, codes: Codes, capfd: pytest.CaptureFixture[str]
) -> None:
    codes[0].extend([0, 2, 0])
    assert run(tmp_path, "seed=0,1,2") == 1
    assert len(codes[1]) == 3
    out = capfd.readouterr().out
    assert "2 of 3 jobs finished." in out
    assert "exit 2" in out


def test_jobs_whose_configuration_cannot_be_written_have_failed(
    small_disk: Path, codes: Codes, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, config: Config) -> None:
        fill(small_disk)
        write(folder, config)

    write = run_folder.write_config
    monkeypatch.setattr(run_folder, "write_config", full)
    assert sweep.run([*TINY, f"run.dir={small_disk / 'sweep'}", "seed=0"]) == 1
    captured = capfd.readouterr()
    assert captured.err.count("config.yaml cannot be written: No space left on device.\n") == 1
    assert "Traceback" not in captured.err
    assert "0 of 1 jobs finished." in captured.out
    assert codes[1] == []


def test_a_sweep_whose_folder_cannot_be_written_is_refused_in_one_sentence(small_disk: Path, codes: Codes) -> None:
    fill(small_disk)
    with pytest.raises(GanlabError, match=r"The sweep's folder .*/sweep cannot be written: No space left on device\."):
        sweep.run([*TINY, f"run.dir={small_disk / 'sweep'}", "seed=0,1"])
    assert codes[1] == []


@pytest.mark.parametrize(("ends", "code"), [((0, 0), 0), ((0, 2), 1), ((2, 137), 1)])
def test_jobs_that_a_launcher_runs_in_other_processes_are_counted(
    tmp_path: Path,
    codes: Codes,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    ends: tuple[int, ...],
    code: int,
) -> None:
    """It was 0 of 0 jobs and exit code 0, whatever happened: what they noted was in those processes."""
    processes = iter(range(100))
    monkeypatch.setattr(sweep.os, "getpid", lambda: next(processes))
    codes[0].extend(ends)
    assert run(tmp_path, "seed=0,1") == code
    out = capfd.readouterr().out
    assert f"{ends.count(0)} of 2 jobs finished." in out
    assert out.count("done ") == ends.count(0)
    codes[0].clear()
    assert run(tmp_path, "seed=0,1") == 0, "what an earlier sweep left in the folder does not count"


def test_a_job_that_was_killed_in_another_process_has_no_exit_code_and_failed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / sweep.JOBS).write_text('["a", null]\n["b", null]\n["b", 0]\n')
    jobs = sweep._read(tmp_path / sweep.JOBS)
    assert jobs == [("a", None), ("b", 0)]
    assert sweep._summarise(jobs, []) == 1
    assert "1 of 2 jobs finished.\n  killed  a\n  done    b\n" in capfd.readouterr().out


@pytest.mark.parametrize("code", [130, 143])
def test_an_interrupted_job_ends_the_sweep(
    tmp_path: Path, codes: Codes, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    codes[0].extend([0, code])
    assert run(tmp_path, "seed=0,1,2") == code
    assert len(codes[1]) == 2
    assert not (tmp_path / "sweep" / "2_seed-2").exists()
    assert "The sweep was interrupted." in capfd.readouterr().out


class Job:
    """A process that ends in good order at SIGTERM; the sweep is interrupted while it waits for it."""

    def __init__(self, interruption: BaseException | None, code: int) -> None:
        self.interruption, self.code, self.count = interruption, code, 0

    def wait(self) -> int:
        if self.interruption is not None:
            error, self.interruption = self.interruption, None
            raise error
        return self.code

    def terminate(self) -> None:
        self.count += 1


@pytest.mark.parametrize(
    ("interruption", "noted"), [(KeyboardInterrupt(), [130]), (SystemExit(143), [143]), (None, [])]
)
def test_what_interrupts_a_sweep_is_passed_on_to_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: BaseException | None, noted: list[int]
) -> None:
    job = Job(interruption, 130 if interruption else 0)
    monkeypatch.setattr(sweep.subprocess, "Popen", lambda *a, **k: job)
    interrupted: list[int] = []
    assert sweep._start(tmp_path, interrupted) == job.code
    assert interrupted == noted
    assert job.count == len(noted)


def test_a_job_that_a_signal_killed_counts_as_a_shell_counts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep.subprocess, "Popen", lambda *a, **k: Job(None, -signal.SIGKILL))
    assert sweep._start(tmp_path, []) == 137
