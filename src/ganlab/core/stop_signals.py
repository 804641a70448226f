"""The signals that stop a process: the first one in good order, the second one at once, whatever it is doing.

Python's handlers run in the main thread between two lines of Python. A process that waits inside a library, for
another machine say, does not come to that. So a thread of its own reads what the interpreter notes of each signal the
moment it comes, and ends the process.
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


def heeded() -> list[int]:
    """Ctrl-C, SIGTERM, and the end of the terminal unless somebody wants to outlive it (nohup)."""
    hang_up = [number] if (number := getattr(signal, "SIGHUP", None)) is not None else []  # Windows has none
    return [signal.SIGINT, signal.SIGTERM, *(n for n in hang_up if signal.getsignal(n) != signal.SIG_IGN)]


def name(number: int) -> str:
    """Return what a user calls a signal: ``Ctrl-C``, or else its name."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


class Watch:
    """Ends the process at its second signal, and a while after the first one where nothing is being finished.

    Attributes:
        watching: Whether it was begun: a program that uses ganlab as a library handles signals by itself.
        at_once: What is to be done with the processes that this one has started, given the signal.
    """

    def __init__(self) -> None:
        self.watching = False
        self.at_once: list[Callable[[int], None]] = []
        self._finishing = self._noted = self._handled = 0
        self._silent = False

    def begin(self, handler: Handler, silent: bool = False) -> None:
        """Install ``handler``, and watch from now on; for the main thread.

        Args:
            silent: Say nothing at the end, as ranks other than the first.
        """
        for number in heeded():
            signal.signal(number, handler)
        self._silent, self.watching = silent, True
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        if hasattr(os, "register_at_fork"):  # what a fork receives is not this process's
            os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
        # the thread keeps the writing end alive
        threading.Thread(target=self._read, args=(reader, writer), name="stop signals", daemon=True).start()

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Inside, the first signal has work to be finished, however long that takes."""
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
        stops = set(heeded())
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
            self.end(number, "stopped, as it did not end by itself")


def say(line: str) -> None:
    """Write a line to standard error at any moment: a handler may have interrupted the stream in its middle."""
    with suppress(OSError):  # the terminal is gone
        os.write(2, f"{line}\n".encode())


WATCH = Watch()
