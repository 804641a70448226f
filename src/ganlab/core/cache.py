"""The folder of files that ganlab can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(chosen: str | os.PathLike[str] | None = None) -> Path:
    """``chosen``, else ``$GANLAB_CACHE``, else ``ganlab`` in the user's cache (``$XDG_CACHE_HOME``, ``~/.cache``)."""
    if chosen or os.environ.get("GANLAB_CACHE"):
        return Path(os.path.expanduser(chosen or os.environ["GANLAB_CACHE"]))
    return Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "ganlab"
