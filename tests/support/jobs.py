"""Jobs of sweeps without processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any


class Jobs:
    """The processes of jobs, which end at once in place of training.

    Attributes:
        codes: Exit codes, in the order in which jobs start; 0 after them.
        started: (command, folder) of each.
        environments: Of each, what it has in addition to this process.
        act: Called with the folder of each; None: nothing.
        signalled: Called when one is sent a signal; None: nothing.
        processes: All of them.
        began: Released when one starts.
    """

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.started: list[tuple[str, Path]] = []
        self.environments: list[Mapping[str, str]] = []
        self.act: Callable[[Path], object] | None = None
        self.signalled: Callable[[], object] | None = None
        self.processes: list[Process] = []
        self.began = threading.Semaphore(0)

    @property
    def folders(self) -> list[Path]:
        return [folder for _, folder in self.started]

    def start(
        self, folder: Path, command: str, options: Sequence[str], output: Any, environment: Mapping[str, str]
    ) -> Process:
        self.started.append((command, folder))
        self.environments.append(dict(environment))
        code = self.codes.pop(0) if self.codes else 0
        self.processes.append(Process(code, lambda: self.act and self.act(folder), self.signalled))
        self.began.release()
        return self.processes[-1]


class Process:
    """A process that ends at once, or when it is sent a signal if its code is that of a signal."""

    stdin = None

    def __init__(self, code: int, act: Callable[[], object], signalled: Callable[[], object] | None) -> None:
        self.code, self.act, self.signalled = code, act, signalled
        self.signals: list[int] = []

    def wait(self, timeout: float | None = None) -> int:
        self.act()
        return self.code

    def send_signal(self, number: int) -> None:
        self.signals.append(number)
        if self.signalled is not None:
            self.signalled()
