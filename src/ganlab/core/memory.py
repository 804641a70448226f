"""The memory of this machine, how freed memory is kept, and the refusal of numbers that need more."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from ganlab.core.errors import GanlabError

_GROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # what a container may take
_UNKNOWN = 2**50
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h
_LARGEST_BLOCK, _KEPT = 32 * 2**20, 2**30  # bytes: the largest threshold that glibc takes, and what stays at most


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


def keep_freed() -> None:
    """Have this process keep the memory that tensors free, for the next ones; only with glibc.

    By default glibc returns large blocks to the system, which clears every page of the next ones: of an iteration on a
    CPU that can be a tenth of the time, see docs/speed.md. Kept are up to 1 GiB, in blocks of up to 32 MiB.
    """
    if platform.libc_ver()[0] == "glibc":
        change = ctypes.CDLL(None).mallopt
        change(_MMAP_THRESHOLD, _LARGEST_BLOCK)
        change(_TRIM_THRESHOLD, _KEPT)


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
