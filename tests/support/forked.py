"""The whole command line in a process that is forked from one which has imported everything: it starts at once."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from support import server


class Forked:
    """``ganlab WORDS`` as a process of its own.

    Args:
        words: The command line.
        folder: Where the process is and its output goes.
        prepare: Called in it before the command, a function of a module.
        environment: Variables of it.
        name: Of the files with its output.
    """

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        prepare: Callable[[], None] | None = None,
        environment: Mapping[str, str] | None = None,
        name: str = "output",
    ) -> None:
        self.out, self.err = folder / f"{name}.out", folder / f"{name}.err"
        for path in (self.out, self.err):
            path.touch()
        arguments = (list(words), str(folder), str(self.out), str(self.err), prepare, dict(environment or {}))
        self.process = server.context().Process(target=_run, args=arguments)
        self.process.start()

    def wait_for(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if not self.process.is_alive() or time.monotonic() > end:
                self.kill()
                raise AssertionError(f"it ended or hung before the condition was true:\n{self.texts()}")
            time.sleep(0.005)

    def signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def end(self, seconds: float = 60) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self.process.join(seconds)
        if self.process.is_alive():
            self.kill()
            raise AssertionError(f"it did not end:\n{self.texts()}")
        code = self.process.exitcode
        assert code is not None
        return code, *self.texts()

    def texts(self) -> tuple[str, str]:
        return self.out.read_text(), self.err.read_text()

    def kill(self) -> None:
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def stuck_in_an_iteration() -> None:
    """The second iteration does not end, as while torch.compile works."""
    from ganlab.engine.module import GameModule

    evaluate = GameModule.evaluate

    def patched(self: GameModule, slot: Any, reals: Any) -> None:
        if self.progress.iteration == 1:
            Path("stuck").touch()
            time.sleep(600)
        evaluate(self, slot, reals)

    GameModule.evaluate = patched  # type: ignore[method-assign]


def impatient() -> None:
    from ganlab.core import stop_signals

    stop_signals.PATIENCE_SECONDS = 0.3


def of_a_terminal() -> None:
    """The process leads the session of the terminal that it prints to."""
    import fcntl
    import termios

    os.setsid()
    terminal = os.open(os.environ["TEST_TERMINAL"], os.O_RDWR)
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    os.dup2(terminal, 1)
    os.dup2(terminal, 2)


def without_hang_up() -> None:
    """As nohup has it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _run(
    words: list[str], folder: str, out: str, err: str, prepare: Callable[[], None] | None, environment: dict[str, str]
) -> None:
    os.chdir(folder)
    os.environ.update(environment)
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server of forks ignores it
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup

    import torch

    from ganlab import cli

    torch.set_num_threads(1)
    if prepare is not None:
        prepare()
    sys.argv = ["ganlab", *words]
    cli.main()
