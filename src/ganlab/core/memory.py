"""The memory of this machine, and the refusal of numbers that need more."""

from __future__ import annotations

import os
import sys
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


def peak(on_gpu: bool = False) -> int:
    """Return the most bytes that this process has had: of a GPU, of tensors; else of the machine, 0 if unknown."""
    if on_gpu:
        import torch

        return torch.cuda.max_memory_allocated()
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


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
