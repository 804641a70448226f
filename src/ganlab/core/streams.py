"""Standard output and error that may fail while the work goes on."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


class _Tolerant:
    """A stream whose writes may fail: a full disk, a closed pipe, a terminal that is gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def tolerant() -> Iterator[None]:
    """Drop output of the block that cannot be printed, so that a full disk does not end a training.

    A thread that fails to write (TensorBoard's) prints no traceback: the caller that waits for it reports the failure.
    """
    before, hook = (sys.stdout, sys.stderr), threading.excepthook

    def tell(failure: threading.ExceptHookArgs) -> None:
        if not isinstance(failure.exc_value, OSError):
            hook(failure)

    sys.stdout, sys.stderr = (cast(TextIO, _Tolerant(stream)) for stream in before)
    threading.excepthook = tell
    try:
        yield
    finally:
        (sys.stdout, sys.stderr), threading.excepthook = before, hook


def is_first_rank() -> bool:
    """Tell if this process is the one of its run that prints, by the variables that launchers set."""
    found = os.environ
    if "RANK" in found:
        return found["RANK"] == "0"
    process = found.get("LOCAL_RANK", found.get("SLURM_PROCID", "0"))
    node = found.get("NODE_RANK", found.get("GROUP_RANK", "0"))
    return process == node == "0"
