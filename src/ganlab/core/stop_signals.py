"""The signals that stop a process: the first one after the current work, the second one at once.

Python runs handlers in the main thread, between two lines of Python. A process that waits inside a library (for another
machine, say) never runs them. So a separate thread reads each signal from the interpreter's wakeup pipe, and ends the
process.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

PATIENCE_SECONDS = 5.0

Handler = Callable[[int, FrameType | None], None]


def handled_signals() -> list[int]:
    """SIGINT, SIGTERM, and SIGHUP unless it is ignored (nohup)."""
    hang_up = [number] if (number := getattr(signal, "SIGHUP", None)) is not None else []  # Windows has none
    return [signal.SIGINT, signal.SIGTERM, *(n for n in hang_up if signal.getsignal(n) != signal.SIG_IGN)]


def name(number: int) -> str:
    """Return what a user calls a signal: ``Ctrl-C``, or else its name."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


class Watch:
    """Ends the process at its second signal, and `PATIENCE_SECONDS` after the first one unless work is being finished.

    Attributes:
        watching: True after `begin`; a program that uses ganlab as a library handles signals itself.
        at_once: Called with the signal before the process ends: they end the processes that this one has started.
    """

    def __init__(self) -> None:
        self.watching = False
        self.at_once: list[Callable[[int], None]] = []
        self._finishing = self._noted = self._handled = 0
        self._silent = False

    def begin(self, handler: Handler, silent: bool = False) -> None:
        """Install ``handler`` and start watching; call it in the main thread.

        Args:
            silent: Print nothing at the end; for ranks other than the first.
        """
        for number in handled_signals():
            signal.signal(number, handler)
        self._silent, self.watching = silent, True
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        if hasattr(os, "register_at_fork"):  # a fork's signals are not this process's
            os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
        # the thread keeps the writing end alive
        threading.Thread(target=self._read, args=(reader, writer), name="stop signals", daemon=True).start()

    @property
    def signalled(self) -> bool:
        """Tell if a signal has asked the process to end."""
        return self._noted > 0

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Let the work of the block finish after a first signal, however long it takes."""
        self._finishing += 1
        try:
            yield
        finally:
            self._finishing -= 1

    def handled(self, number: int) -> None:
        """Count a signal in its handler, and end at once if it is not the first."""
        self._handled += 1
        if self.watching and self._handled > 1:
            self.end(number)

    def end(self, number: int, how: str = "stopped at once") -> NoReturn:
        """End this process and those that it has started."""
        for act in self.at_once:
            with suppress(Exception):
                act(number)
        if not self._silent:
            say(f"ganlab: {how}.")
        os._exit(128 + number)

    def _read(self, reader: socket.socket, writer: socket.socket) -> None:
        stops = set(handled_signals())
        while True:
            for number in reader.recv(64):
                if number not in stops:
                    continue
                self._noted += 1
                if self._noted > 1:
                    self.end(number)
                if not self._finishing:
                    timer = threading.Timer(PATIENCE_SECONDS, self._lose_patience, (number,))
                    timer.daemon = True
                    timer.start()

    def _lose_patience(self, number: int) -> None:
        if not self._finishing:
            self.end(number, "stopped, because it did not end in time")


def say(line: str) -> None:
    """Write a line to standard error; safe in a handler, which may interrupt a write of the stream."""
    with suppress(OSError):  # the terminal is gone
        os.write(2, f"{line}\n".encode())


WATCH = Watch()
