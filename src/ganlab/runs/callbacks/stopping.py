"""Stopping between two iterations: signals, failed callbacks, and a budget of images."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import distributed as dist

from ganlab.contracts.callback import RunContext
from ganlab.core.errors import GanlabError
from ganlab.engine.module import GameModule


class Stopping(L.Callback):
    """Ends training after the iteration in which a signal was noted, a callback failed or ``run.max_kimg`` was reached;
    on every rank after the same iteration.

    It is called last, so that the requests of other callbacks count in the same iteration.
    """

    order = 100
    cost = "with several processes, one number an iteration that they agree on, on the host"

    def __init__(self, run: RunContext) -> None:
        self.run = run
        self._group: Any = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.world_size > 1:
            self._group = dist.new_group(backend="gloo")  # on the host: no device waits for it
        self._check_budget(trainer, pl_module)
        self._agree()
        if self.run.ending.failure is not None:  # a signal ends the run after the first iteration
            trainer.should_stop = True

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._check_budget(trainer, pl_module)
        self._end_if_asked(trainer)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        self._agree()  # on what failed after the last iteration

    def _end_if_asked(self, trainer: L.Trainer) -> None:
        if self._agree():
            trainer.fit_loop.epoch_loop.min_steps = None  # trainer.min_steps would make Lightning go on
            trainer.should_stop = True

    def _agree(self) -> bool:
        """Tell if any rank is asked to end the run; all ranks then have its reason."""
        ending = self.run.ending
        if self._group is None:
            return ending.asked
        # a later signal waits for the next iteration
        flags = torch.tensor([ending.signal or 0, int(ending.failure is not None)])
        dist.all_reduce(flags, op=dist.ReduceOp.MAX, group=self._group)
        number, failed = flags.tolist()
        if number:
            ending.signal = number
        if failed:
            sentences: list[Any] = [None] * dist.get_world_size()
            mine = None if ending.failure is None else (str(ending.failure), ending.failure.exit_code)
            dist.all_gather_object(sentences, mine, group=self._group)
            sentence, code = next(each for each in sentences if each is not None)
            ending.failure = GanlabError(sentence)
            ending.failure.exit_code = code
        return bool(number or failed or ending.back)  # all ranks go back, see the guard

    def _check_budget(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, GameModule)
        if module.training_options.ends(module.progress):
            trainer.should_stop = True
