"""A progress bar that appears only when the wait is noticeable."""

from __future__ import annotations

import sys
import time
from types import TracebackType

# On a terminal, and where each report stays as a line.
_PATIENCE_SECONDS = {True: 1.0, False: 10.0}
_INTERVAL_SECONDS = {True: 0.2, False: 30.0}
_WIDTH = 24


class Progress:
    """Counts images on standard error: a bar on a terminal, else a plain line every half minute.

    Args:
        what: What is being done, "packing 60,000 images".
        total: How many images there are.
    """

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._count = 0
        self._terminal = sys.stderr.isatty()
        self._start = time.monotonic()
        self._next = self._start + _PATIENCE_SECONDS[self._terminal]
        self._shown = False

    def update(self, count: int) -> None:
        self._count += count
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _INTERVAL_SECONDS[self._terminal]
        self._shown = True
        share = self._count / self._total
        rate = self._count / (now - self._start)
        line = f"{self._what}: {share:4.0%}, {rate:,.0f} images/s, {(self._total - self._count) / rate:,.0f} s left"
        if self._terminal:
            bar = "#" * int(share * _WIDTH)
            print(f"\r\033[K[{bar:<{_WIDTH}}] {line}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown and self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
