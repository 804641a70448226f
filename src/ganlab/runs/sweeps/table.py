"""The state of a sweep while it runs: a table in a terminal, plain lines elsewhere.

It is read from the sweep's folder, so it is the same under every launcher.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ganlab.core import files, run_files
from ganlab.core.errors import GanlabError
from ganlab.core.stop_signals import WATCH
from ganlab.data.progress import clock
from ganlab.runs import run_folder
from ganlab.runs.sweeps import job as of_job
from ganlab.runs.sweeps import objective
from ganlab.runs.sweeps.record import DONE, FAILED, PRUNED, QUEUED, RUNNING, STOPPED, Job, Sweep

_EVERY_SECONDS = 1.0
_LINE_SECONDS = 60.0  # between two lines about running jobs, where there is no terminal
_TAIL_BYTES, _MOST_BYTES = 2**16, 2**22  # of what a job has printed: kept, and allowed
_ORDER = (RUNNING, FAILED, STOPPED, DONE, PRUNED, QUEUED)  # which rows are shown if there is no room for all
_ENDING = "Ending: each job finishes its iteration and writes a checkpoint. A second signal stops at once."


@dataclass
class Progress:
    """A running job, as its run folder has it.

    Args:
        share: Of its length, from 0 to 1.
        text: Position, speed and the latest score.
    """

    share: float = 0.0
    text: str = ""


@contextmanager
def shown(sweep: Sweep) -> Iterator[None]:
    """Show the jobs for as long as the block runs."""
    table = Table(sweep, sys.stdout.isatty())
    table.thread.start()
    try:
        yield
    finally:
        table.end()


class Table:
    """Shows the jobs of a sweep every second, in a thread of its own.

    Args:
        terminal: Draw a table and redraw it in its place; or else print a line when a job starts or ends.
    """

    def __init__(self, sweep: Sweep, terminal: bool) -> None:
        self.sweep, self.terminal = sweep, terminal
        self.thread = threading.Thread(target=self._show, name="table", daemon=True)
        self._ends = threading.Event()
        self._began = self._printed = time.monotonic()
        self._share_before: float | None = None
        self._lines = 0  # of the table that is on the screen
        self._states = {job.number: job.state for job in sweep.jobs()}
        self._lengths: dict[int, tuple[float | None, float | None]] = {}
        self._said_ending = False

    def end(self) -> None:
        """Say what has ended since the last time, and take the table off the screen."""
        self._ends.set()
        self.thread.join()
        with suppress(GanlabError):
            if not self.terminal:
                self._say_changes(self.sweep.jobs())
        self._erase()

    def _show(self) -> None:
        while not self._ends.wait(_EVERY_SECONDS):
            with suppress(GanlabError):  # a record that cannot be read: the launcher says so
                jobs = self.sweep.jobs()
                running = {job.number: self.progress(job) for job in jobs if job.state == RUNNING}
                if self.terminal:
                    size = shutil.get_terminal_size()
                    self._draw(self.lines(jobs, running, size.columns, size.lines))
                else:
                    self._say_changes(jobs)
                    self._say_running(jobs, running)

    def lines(self, jobs: Sequence[Job], running: dict[int, Progress], columns: int, rows: int) -> list[str]:
        """The table, at most ``columns`` wide and ``rows`` - 2 high; the rows of most interest come first."""
        room = max(1, rows - 4)
        chosen = sorted(jobs, key=lambda job: (_ORDER.index(job.state), job.number))[:room]
        names = min(max((len(job.name) for job in chosen), default=0), max(10, columns // 2))
        digits = len(str(max((job.number for job in chosen), default=0)))
        found = [self.header(jobs, running)]
        for job in sorted(chosen, key=lambda job: job.number):
            what = running[job.number].text if job.number in running else _ended(job)
            found.append(f"  {job.number:>{digits}}  {job.name[:names]:<{names}}  {job.state:<7}  {what}".rstrip())
        if len(chosen) < len(jobs):
            found.append(f"  and {len(jobs) - len(chosen)} more")
        if WATCH.signalled:
            found.append(_ENDING)
        return [line[: columns - 1] for line in found]

    def header(self, jobs: Sequence[Job], running: dict[int, Progress]) -> str:
        """``8 jobs: 2 running, 3 done, 1 failed, 2 queued · 4:10 left``."""
        count = Counter(job.state for job in jobs)
        parts = [
            f"{count[state]} {state}" for state in (RUNNING, DONE, PRUNED, FAILED, STOPPED, QUEUED) if count[state]
        ]
        left = self.seconds_left(jobs, running)
        return f"{len(jobs)} jobs: {', '.join(parts)}" + (f" · {clock(left)} left" if left is not None else "")

    def seconds_left(self, jobs: Sequence[Job], running: dict[int, Progress]) -> float | None:
        """Return the time that the rest takes at the speed so far; None before anything is known."""
        share = float(sum(job.state not in (QUEUED, RUNNING) for job in jobs))
        share += sum(progress.share for progress in running.values())
        if self._share_before is None:
            self._share_before = share
        done, seconds = share - self._share_before, time.monotonic() - self._began
        return (len(jobs) - share) * seconds / done if done > 0.01 else None

    def progress(self, job: Job) -> Progress:
        """Read how far a running job is."""
        folder = self.sweep.run_folder(job)
        _limit(folder / of_job.OUTPUT)
        line = _last_line(folder / run_files.METRICS)
        steps, kimg = self._length(job, folder)
        if line is None:
            return Progress(text="begins")
        iteration, seen = int(line.get("iteration", 0)), float(line.get("kimg", 0.0))
        shares = [iteration / steps] if steps else []
        shares += [seen / kimg] if kimg else []
        words = [f"iteration {iteration}" + (f"/{steps:g}" if steps else ""), f"{seen:.1f} kimg"]
        words += [f"{line['images_per_second']:.0f} images/s"] if "images_per_second" in line else []
        with suppress(GanlabError):
            scored = objective.during_training(folder, self.sweep.parsed.options.objective)[-1:]
            words += [f"{score.metric} {score.value:.4g}" for score in scored]
        return Progress(min(1.0, max(shares, default=0.0)), " · ".join(words))

    def _length(self, job: Job, folder: Path) -> tuple[float | None, float | None]:
        """Iterations and kimg of a job's whole length."""
        if job.number not in self._lengths:
            try:
                config = run_folder.read_config(folder)
            except GanlabError:  # it is being written
                return None, None
            self._lengths[job.number] = (config.max_steps if config.max_steps > 0 else None, config.run.max_kimg)
        return self._lengths[job.number]

    def _draw(self, lines: Sequence[str]) -> None:
        start = f"\r\033[{self._lines}A\033[J" if self._lines else "\r\033[J"
        self._lines = len(lines)
        print(start + "\n".join(lines), flush=True)

    def _erase(self) -> None:
        if self._lines:
            print(f"\r\033[{self._lines}A\033[J", end="", flush=True)
            self._lines = 0

    def _say_changes(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            before = self._states.get(job.number, QUEUED)
            self._states[job.number] = job.state
            if job.state in (before, QUEUED):
                continue
            if before == QUEUED and job.started is not None:
                print(f"job {job.number} ({job.name}) trains in {files.typed(self.sweep.run_folder(job))}", flush=True)
            if job.state != RUNNING:
                print(f"job {job.number} {job.state} {_ended(job)}".rstrip(), flush=True)
        if WATCH.signalled and not self._said_ending:
            self._said_ending = True
            print(_ENDING, flush=True)

    def _say_running(self, jobs: Sequence[Job], running: dict[int, Progress]) -> None:
        if time.monotonic() - self._printed < _LINE_SECONDS:
            return
        self._printed = time.monotonic()
        print(self.header(jobs, running), flush=True)
        for number, progress in running.items():
            print(f"job {number}: {progress.text}", flush=True)


def _ended(job: Job) -> str:
    """The time that a job took, its objective and its sentence."""
    words = []
    if job.started and job.ended:
        with suppress(ValueError, TypeError):  # somebody has altered them
            words.append(f"in {clock((_time(job.ended) - _time(job.started)).total_seconds())}")
    words += [f"{job.objective:.4g}"] if job.objective is not None else []
    words += [job.error] if job.error else []
    return " · ".join(words)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _last_line(path: Path) -> dict[str, Any] | None:
    """The last whole line of a file of JSON lines; None if there is none yet."""
    with suppress(OSError, ValueError, RecursionError), files.opened(path, "rb") as file:
        file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
        lines = file.read().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        found = json.loads(whole[-1]) if whole else None
        return found if isinstance(found, dict) else None
    return None


def _limit(path: Path) -> None:
    """Drop the beginning of what a job has printed if it is too long."""
    with suppress(OSError):
        if path.stat().st_size > _MOST_BYTES:
            with files.opened(path, "ab+") as file:
                file.seek(-_TAIL_BYTES, 2)
                end = file.read()
                file.truncate(0)
                file.write(end)
