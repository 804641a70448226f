"""Exports that are written whole or not at all."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from ganlab.core import files
from ganlab.core.errors import GanlabError

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE


def refuse_occupied(path: Path, form: ModuleType) -> None:
    """Refuse a path that is taken, unless by an export of the same format.

    Raises:
        GanlabError: If it is.
    """
    if form.SUFFIX and path.suffix.lower() != form.SUFFIX:
        raise GanlabError(f"out must end in {form.SUFFIX} for format={form.NAME}, got {str(path)!r}.")
    if not form.SUFFIX and path.suffix:
        raise GanlabError(f"out is a folder for format={form.NAME}, got {str(path)!r}.")
    if not os.path.lexists(path):
        return
    kind = f"{form.SUFFIX} file" if form.SUFFIX else "folder"
    if os.path.islink(path) or not (os.path.isfile(path) if form.SUFFIX else os.path.isdir(path)):
        raise GanlabError(f"out={path} exists and is no {kind}: give another one.")
    if not form.SUFFIX and not any(path.iterdir()):
        return
    try:
        own = form.is_own(path)
    except Exception:  # whatever a reader finds wrong with a foreign file
        own = False
    if not own:
        raise GanlabError(
            f"out={path} exists and is no export of format={form.NAME}: give another {kind}, or remove it."
        )


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give the block a name beside ``path``; what is there gets the name ``path`` if the block ends without an error.

    Raises:
        GanlabError: If it cannot be written; what was at ``path`` stays as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if os.path.isdir(temporary) and os.path.isdir(path):
            _replace_folder(path, temporary)
        else:
            os.replace(temporary, path)
    except OSError as error:
        raise files.unwritable(path, error) from error
    finally:
        if os.path.isdir(temporary):
            shutil.rmtree(temporary, ignore_errors=True)
        elif os.path.lexists(temporary):
            temporary.unlink()


def _replace_folder(path: Path, new: Path) -> None:
    """Put a folder into the place of another one, in one step where the system can: there is always one."""
    old = new
    if not _exchanged(path, new):
        old = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
        os.replace(path, old)
        os.replace(new, path)
    shutil.rmtree(old)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange the names of two folders, by Linux's renameat2; return False where there is none."""
    exchange = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    if exchange is None:
        return False
    done: int = exchange(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)
    return done == 0  # else a file system that cannot
