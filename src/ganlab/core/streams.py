"""Standard output and error that may fail while the work goes on."""

from __future__ import annotations

import sys
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
    """Inside, what cannot be printed is dropped: hours of training are worth more than a line about them."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, _Tolerant(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
