"""Exports that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from ganlab.core import files
from ganlab.core.errors import GanlabError


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
            old = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
            os.replace(path, old)
            os.replace(temporary, path)
            shutil.rmtree(old)
        else:
            os.replace(temporary, path)
    except OSError as error:
        raise files.unwritable(path, error) from error
    finally:
        if os.path.isdir(temporary):
            shutil.rmtree(temporary, ignore_errors=True)
        elif os.path.lexists(temporary):
            temporary.unlink()
