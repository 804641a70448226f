"""The memory of this machine, and the refusal of numbers that need more."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from ganlab.core.errors import GanlabError

_GROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # what a container may take
_UNKNOWN = 2**50


@cache
def total() -> int:
    """Return the most bytes of memory that this process can have."""
    found = [_UNKNOWN]
    with suppress(OSError, ValueError, AttributeError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in _GROUPS:
        with suppress(OSError, ValueError):
            found.append(int(Path(path).read_text()))
    return min(number for number in found if number > 0)


def refuse(needed: float, what: str, advice: str) -> None:
    """Refuse to allocate more memory than the machine has.

    Args:
        needed: Bytes, at the least.
        what: What takes them: ``count=1000000000 images``.
        advice: What to do.

    Raises:
        GanlabError: If they are more than the machine has.
    """
    if needed > total():
        raise GanlabError(f"{what} need {size(needed)} of memory, and this machine has {size(total())}: {advice}.")


def size(count: float) -> str:
    """Return bytes as MiB, GiB or, above 2^60, as a power of ten of GiB."""
    if count < 2**30:
        return f"{count / 2**20:.0f} MiB"
    return f"{count / 2**30:,.1f} GiB" if count < 2**60 else f"{count / 2**30:.1e} GiB"
