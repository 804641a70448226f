"""The page of a run, once or for as long as the run goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ganlab.core.json_lines import is_number
from ganlab.reports import logged, run_page
from ganlab.runs import run_folder


def pages(folder: Path, every_seconds: int | None) -> Iterator[Path]:
    """Write the page of a run; return its path once, and a second time when the run that was followed has ended.

    Args:
        folder: The run folder.
        every_seconds: Write it again so often while the run goes on; None: once.

    Raises:
        GanlabError: If it cannot be written.
    """
    running = is_running(folder)
    refresh = every_seconds if every_seconds is not None and running else 0
    yield run_page.write(folder, state(folder), refresh)
    if not refresh:
        return
    try:
        while is_running(folder):
            time.sleep(refresh)
            run_page.write(folder, state(folder), refresh)
    except KeyboardInterrupt:
        pass  # the way to end it
    yield run_page.write(folder, state(folder))


def state(folder: Path) -> str:
    """Return what a run does: ``running``, ``finished``, ``not finished`` or ``not started``."""
    log = logged.read(folder)
    if is_running(folder):
        return "running"
    if not log.kimg:
        return "not started"
    config = run_folder.read_plain(folder)  # a page shows files, and builds nothing
    trainer, run = config.get("trainer"), config.get("run")
    steps = trainer.get("max_steps") if isinstance(trainer, dict) else None
    kimg = run.get("max_kimg") if isinstance(run, dict) else None
    finished = is_number(steps) and 0 <= steps <= log.iterations[-1]
    finished = finished or (is_number(kimg) and kimg <= log.kimg[-1])
    return "finished" if finished else "not finished"


def is_running(folder: Path) -> bool:
    """Tell if a process trains in a run folder: it holds the lock, or has left its file where there are no locks."""
    path = folder / run_folder.LOCK
    if not path.is_file() or path.is_symlink():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):
        return True
    lock.release()
    return False
