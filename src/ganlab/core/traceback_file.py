"""Unexpected errors: the traceback goes into a file, and the user sees one line that names it."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_STARTED = time.time()
_CARRIED = "ganlab_run_folder"  # the attribute that carries a run folder up to the command line
_FOLDER = "GANLAB_RUN_FOLDER"  # the variable by which the processes of other ranks know it


@contextmanager
def of_run(folder: Path) -> Iterator[None]:
    """Write unexpected errors of the block into ``folder``, if it exists when they are written."""
    before = os.environ.get(_FOLDER)
    os.environ[_FOLDER] = str(folder)
    try:
        yield
    except Exception as error:
        setattr(error, _CARRIED, folder)
        raise
    finally:
        os.environ.pop(_FOLDER)
        if before is not None:
            os.environ[_FOLDER] = before


def write(error: BaseException, words: Sequence[str]) -> tuple[Path, bool]:
    """Write the traceback into the error's run folder, or else the temporary folder.

    The ranks of one run write into one file; only the first of them reports it.

    Args:
        words: The command line.

    Returns:
        The file, and True for the rank that made it, which reports it.
    """
    text = "\n".join(
        [
            f"ganlab {' '.join(words)}",
            f"time {time.strftime('%Y-%m-%d %H:%M:%S')}, rank {os.environ.get('RANK') or os.environ.get('LOCAL_RANK')}",
            f"python {sys.version.split()[0]}, {_versions()}",
            "",
            "".join(traceback.format_exception(type(error), error, error.__traceback__)),
        ]
    )
    run = getattr(error, _CARRIED, None) or os.environ.get(_FOLDER)
    folders = {"traceback": run, "ganlab_traceback": tempfile.gettempdir()}
    for name, folder in folders.items():
        try:
            if folder is not None and os.path.isdir(folder):
                return _put(Path(folder, f"{name}_{_session()}.txt"), text)
        except OSError:  # a full disk, a folder that may not be written
            continue
    sys.stderr.write(text)
    return Path(os.devnull), True


def _session() -> str:
    """Return the port at which the ranks of a run meet, or the time when its one process failed."""
    return os.environ.get("MASTER_PORT") or f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{os.getpid()}"


def _put(path: Path, text: str) -> tuple[Path, bool]:
    flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    try:
        number, mine = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600), True
    except FileExistsError:
        number = os.open(path, flags)
        mine = os.fstat(number).st_mtime < _STARTED  # of an earlier session at the same port
    with open(number, "a", encoding="utf-8", errors="replace") as file:
        file.write(text)
    return path, mine


def _versions() -> str:
    """Return the versions of the packages that are loaded already."""
    loaded = {name: getattr(sys.modules.get(name), "__version__", None) for name in ("ganlab", "torch", "lightning")}
    return ", ".join(f"{name} {version}" for name, version in loaded.items() if version)
