"""Memory that the process keeps."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# eight blocks of 8 MiB are taken, written and freed, five times; the last four times count
PAGE_FAULTS = """
import ctypes, resource, sys
from ganlab.core import memory
if sys.argv[1] == "kept":
    memory.keep_freed()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.memset.argtypes, libc.free.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t], [ctypes.c_void_p]
for i in range(5):
    if i == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [libc.malloc(2**23) for _ in range(8)]
    for block in blocks:
        libc.memset(block, 1, 2**23)
    for block in blocks:
        libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_freed_memory_is_taken_again_without_page_faults() -> None:

    def faults(how: str) -> int:
        run = subprocess.run([sys.executable, "-c", PAGE_FAULTS, how], capture_output=True, text=True, check=True)
        return int(run.stdout)

    assert 10 * faults("kept") < faults("default")
