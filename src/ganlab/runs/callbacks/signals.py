"""Signals that end a run after the iteration."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from types import FrameType
from typing import Any

import lightning as L

from ganlab.contracts.callback import RunContext
from ganlab.core.stop_signals import WATCH, handled_signals, name, say


class Signals(L.Callback):
    """Notes Ctrl-C, SIGTERM and SIGHUP: `stopping` ends the run after the iteration, a second signal ends it at once.

    It is called first, so that other callbacks can be interrupted when training starts.
    """

    order = 0
    cost = "none"

    def __init__(self, run: RunContext) -> None:
        self.run = run
        self._before: dict[int, Any] = {}
        self._finishing = ExitStack()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # after Lightning has installed its own handlers, which raise at any line
        try:
            for number in handled_signals():
                self._before[number] = signal.signal(number, self._receive)
        except ValueError:  # not in the main thread: the calling program handles signals
            self._before.clear()
        self._finishing.enter_context(WATCH.finishing())

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._finishing.close()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._finishing.close()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        WATCH.handled(number)  # does not return at a second signal if the process is ganlab's own
        if self.run.ending.signal is not None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(128 + number)
        self.run.ending.signal = number
        say(f"\n{name(number)}: finishing this iteration, then writing a checkpoint. A second one stops at once.")
