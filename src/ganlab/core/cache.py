"""The folder of files that ganlab can make again, and files of rows in it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ganlab.core import files

_KEPT_SECONDS = 30 * 24 * 3600  # files of rows, as those of environments that are gone


def cache_folder(chosen: str | os.PathLike[str] | None = None) -> Path:
    """``chosen``, else ``$GANLAB_CACHE``, else ``ganlab`` in the user's cache (``$XDG_CACHE_HOME``, ``~/.cache``)."""
    if chosen or os.environ.get("GANLAB_CACHE"):
        return Path(os.path.expanduser(chosen or os.environ["GANLAB_CACHE"]))
    return Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "ganlab"


def remove_older(folder: Path, seconds: float) -> None:
    """Remove the files below a folder that nobody has read or written for so long."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            with suppress(OSError):
                status = path.lstat()
                if time.time() - max(status.st_mtime, status.st_atime) > seconds:
                    path.unlink()


def digest(*words: object) -> str:
    """Return a text that differs for different ``words``."""
    return hashlib.sha256(repr(words).encode()).hexdigest()[:32]


class Rows(dict[str, Any]):
    """Rows of JSON by name, kept in a file; there are none if the file is missing or damaged.

    Args:
        name: First word of the file's name.
        where: What the rows depend on, as a whole: other words have another file.
    """

    def __init__(self, name: str, *where: object) -> None:
        self.file = cache_folder() / "options" / f"{name}-{digest(*map(str, where))}.json"
        with suppress(OSError, ValueError, TypeError):
            self.update(json.loads(files.read(self.file)))

    def write(self) -> None:
        """Write the file, if the folder can be written, and remove those that nobody has written for a month."""
        text = json.dumps(self).encode()
        with suppress(OSError):
            with files.whole(self.file) as opened:
                opened.write(text)
            for other in self.file.parent.glob("*.json"):
                if time.time() - other.stat().st_mtime > _KEPT_SECONDS:
                    other.unlink()
