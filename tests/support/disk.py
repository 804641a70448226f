"""A file system that is nearly full."""

from __future__ import annotations

import os
from pathlib import Path


def fill(disk: Path, leave: int = 0) -> None:
    """Leave ``leave`` bytes of a disk."""
    free = os.statvfs(disk)
    (disk / "ballast").write_bytes(bytes(max(0, free.f_bavail * free.f_bsize - leave)))
