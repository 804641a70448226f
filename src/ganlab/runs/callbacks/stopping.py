"""Stopping between two iterations: signals, and a budget of images."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from types import FrameType
from typing import Any

import lightning as L
import torch
from torch import distributed as dist

from ganlab.core.stop_signals import WATCH, heeded, say
from ganlab.engine.module import GANModule


class Stopping(L.Callback):
    """Ctrl-C, SIGTERM and SIGHUP finish the iteration and end training in good order, on every rank at the
    same iteration; a second signal of any of them stops at once. So does a run's length in images end it.

    Attributes:
        received: The signal that ended the run, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}
        self._group: Any = None
        self._finishing = ExitStack()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # after Lightning has put its own handlers in place, which raise in the middle of things
        try:
            for number in heeded():
                self._before[number] = signal.signal(number, self._receive)
        except ValueError:  # not in the main thread: whoever runs us there handles signals
            self._before.clear()
        self._finishing.enter_context(WATCH.finishing())
        if trainer.world_size > 1:
            self._group = dist.new_group(backend="gloo")  # on the host: no device waits for it
        self._check_budget(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        agreed = self.received
        if self._group is not None:
            flag = torch.tensor(agreed or 0)
            dist.all_reduce(flag, op=dist.ReduceOp.MAX, group=self._group)
            agreed = int(flag) or None
        if agreed is not None:  # what was received since the ranks were asked waits for the next iteration
            self.received = agreed
            trainer.fit_loop.epoch_loop.min_steps = None  # trainer.min_steps would make Lightning go on
            trainer.should_stop = True
        self._check_budget(trainer, pl_module)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self._finishing.close()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._finishing.close()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _check_budget(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, GANModule)
        if module.training_options.ends(module.progress):
            trainer.should_stop = True

    def _receive(self, number: int, frame: FrameType | None) -> None:
        WATCH.handled(number)  # does not return at the second one where the process is ganlab's own
        if self.received is not None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(128 + number)
        self.received = number
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        say(f"\n{name}: finishing this iteration, then writing a checkpoint. A second one stops at once.")
