"""A progress bar for work that takes more than a second."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType

# On a terminal, and where each report stays as a line.
_PATIENCE_SECONDS = {True: 1.0, False: 10.0}
_INTERVAL_SECONDS = {True: 0.2, False: 30.0}
_WIDTH = 24


class Progress:
    """Counts images on standard error: by a bar on a terminal, else by a plain line every half minute.

    It prints nothing for work of less than a second, or less than ten where there is no terminal.

    Args:
        what: The work, such as "evaluating".
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
        share = min(self._count / self._total, 1.0)
        rate = self._count / (now - self._start)
        left = clock((self._total - self._count) / rate)
        line = f"{self._what}: {self._count:,} of {self._total:,}, {rate:,.0f} images/s, {left} left"
        if self._terminal:
            bar, width = f"[{'#' * int(share * _WIDTH):<{_WIDTH}}] ", shutil.get_terminal_size().columns - 1
            shown = f"{bar if len(bar) + len(line) <= width else ''}{line}"
            print(f"\r\033[K{shown[:width]}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown and self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """``0:07``, ``12:34`` or ``1:02:03``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
