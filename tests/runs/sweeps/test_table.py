"""The state of a sweep on a terminal, and as plain lines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.runs import TINY

from ganlab.config import compose
from ganlab.core import run_files
from ganlab.core.stop_signals import WATCH
from ganlab.runs import run_folder
from ganlab.runs.sweeps import record, table
from ganlab.runs.sweeps.record import Sweep
from ganlab.runs.sweeps.table import Table


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """A sweep with a done, a failed, a running and two queued jobs."""
    found = Sweep(tmp_path, (*TINY, "seed=range(0,5)"), threads=1)
    found.write()
    found.add([(number, {"seed": str(number), "loss": "hinge"}) for number in range(5)])
    for number in range(3):
        found.begins(number)
    found.ends(0, record.DONE, 12.3456)
    found.ends(1, record.FAILED, error="It diverged.")
    for number in range(3):
        found.update(number, started="2026-11-26T10:00:00+00:00")
    for number in range(2):
        found.update(number, ended="2026-11-26T10:01:40+00:00")
    running = found.run_folder(found.job(2))
    run_folder.write_config(running, compose.read([*TINY, "trainer.max_steps=8"]))
    lines = [
        {"iteration": 2, "kimg": 0.016, "images_per_second": 79.6},
        {"iteration": 6, "kimg": 0.048, "images_per_second": 81.4},
    ]
    (running / run_files.METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"iteration": 7,')
    return found


def test_a_table_has_a_row_for_each_job(sweep: Sweep) -> None:
    shown = Table(sweep, terminal=True)
    jobs = sweep.jobs()
    running = {2: shown.progress(jobs[2])}
    assert running[2].share == 0.75
    assert shown.lines(jobs, running, columns=100, rows=24) == [
        "5 jobs: 1 running, 1 done, 1 failed, 2 queued",
        "  0  seed=0 loss=hinge  done     in 1:40 · 12.35",
        "  1  seed=1 loss=hinge  failed   in 1:40 · It diverged.",
        "  2  seed=2 loss=hinge  running  iteration 6/8 · 0.0 kimg · 81 images/s",
        "  3  seed=3 loss=hinge  queued",
        "  4  seed=4 loss=hinge  queued",
    ]


def test_a_small_terminal_shows_what_is_of_most_interest(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WATCH, "_noted", 1)
    lines = Table(sweep, terminal=True).lines(sweep.jobs(), {}, columns=44, rows=6)
    assert lines == [
        "5 jobs: 1 running, 1 done, 1 failed, 2 queu",
        "  1  seed=1 loss=hinge  failed   in 1:40 · ",
        "  2  seed=2 loss=hinge  running",
        "  and 3 more",
        table._ENDING[:43],
    ]


def test_the_time_left_follows_from_the_shares_that_are_done(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, jobs = Table(sweep, terminal=True), sweep.jobs()
    assert shown.seconds_left(jobs, {2: table.Progress(0.25)}) is None
    monkeypatch.setattr(table.time, "monotonic", lambda: shown._began + 30)
    assert shown.seconds_left(jobs, {2: table.Progress(0.5)}) == pytest.approx(2.5 * 30 / 0.25)


def test_elsewhere_there_is_a_line_for_each_change(sweep: Sweep, capsys: pytest.CaptureFixture[str]) -> None:
    sweep.update(3, state=record.DONE)  # by an earlier session
    shown = Table(sweep, terminal=False)
    shown.thread.start()
    sweep.begins(4)
    sweep.ends(4, record.FAILED, error="It diverged.")
    sweep.ends(2, record.DONE)
    shown.end()
    second, begins, failed = capsys.readouterr().out.splitlines()
    assert second.startswith("job 2 done in ")
    assert begins == f"job 4 (seed=4 loss=hinge) trains in {sweep.folder}/4_seed-4_loss-hinge"
    assert re.fullmatch(r"job 4 failed in 0:\d\d · It diverged\.", failed)


def test_what_a_job_prints_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_MOST_BYTES", 2**17)
    (tmp_path / "output.txt").write_bytes(b"x" * 2**17 + b"ganlab: the end\n")
    table._limit(tmp_path / "output.txt")
    kept = (tmp_path / "output.txt").read_bytes()
    assert len(kept) == 2**16
    assert kept.endswith(b"xganlab: the end\n")
