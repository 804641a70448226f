"""Checkpoints on the step clock."""

from __future__ import annotations

import sys
from typing import Any

import lightning as L

from ganlab.contracts.callback import RunContext
from ganlab.core import files
from ganlab.engine.module import GameModule
from ganlab.runs import checkpoints, finite, run_folder
from ganlab.runs.run_folder import CHECKPOINTS


class Saving(L.Callback):
    """``last.ckpt`` every so many iterations and at the end, and a bounded number of older ones.

    Numbers that are not finite are never saved; the run stops instead. A full disk is reported and
    the run goes on with the last good checkpoint in place. Nothing is saved of a run that the guard ends, and while the
    guard suspects a failure the newest checkpoint from before it is kept.

    Args:
        every_steps: Interval in iterations.
        keep: Older checkpoints beside ``last.ckpt``.

    Attributes:
        last_step: Iteration of the ``last.ckpt`` that is there and whole, or None.
    """

    order = 90
    cost = "each checkpoint.every_steps iterations, a look at all numbers, and a file of all weights and moments"

    def __init__(self, run: RunContext, *, every_steps: int, keep: int) -> None:
        self.run, self.folder, self.every_steps, self.keep = run, run.folder / CHECKPOINTS, every_steps, keep
        goes_on = run.checkpoint is not None and run.checkpoint.name == checkpoints.LAST
        self.last_step: int | None = run.progress.iteration if goes_on else None
        self._tried: int | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            run_folder.clean(self.folder.parent)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GameModule)
        if pl_module.progress.iteration % self.every_steps == 0 and self.run.ending.broken is None:
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, GameModule)
        if pl_module.progress.iteration not in (self.last_step, self._tried) and self.run.ending.broken is None:
            self._save(trainer, pl_module)

    def _save(self, trainer: L.Trainer, module: GameModule) -> None:
        self._tried = module.progress.iteration
        finite.refuse_infinite(module)
        trainer.save_checkpoint(self.folder / checkpoints.NEXT)
        if not trainer.is_global_zero:
            return
        failure = checkpoints.failure(trainer)
        if failure is None:
            try:
                self._shift(module.progress.iteration)
                self.last_step, self.run.ending.unsaved = module.progress.iteration, None
                return
            except OSError as error:
                failure = error
        self.run.ending.unsaved = failure
        whole = (self.folder / checkpoints.LAST).is_file()
        stays = "the one before stays" if whole else "there is none yet"
        ends = self.run.ending.asked or module.training_options.ends(module.progress)
        goes_on = "" if ends else ", and training goes on"
        print(
            f"The checkpoint of iteration {module.progress.iteration} could not be written to "
            f"{files.typed(self.folder)} ({failure.strerror or failure}): {stays}{goes_on}.",
            file=sys.stderr,
            flush=True,
        )

    def _shift(self, iteration: int) -> None:
        """Keep older checkpoints of the interval alone, so that a run that is resumed has those of one that never ended
        in between."""
        last_step = None if self.last_step is None or self.last_step % self.every_steps else self.last_step
        keep = self.keep + bool(iteration % self.every_steps)
        checkpoints.shift(self.folder, last_step, keep, self.run.ending.suspected)
