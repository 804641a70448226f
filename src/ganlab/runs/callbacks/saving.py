"""Checkpoints on the step clock."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightning as L

from ganlab.engine.module import GANModule
from ganlab.runs import checkpoints, finite, run_folder
from ganlab.runs.checkpoints import AtomicCheckpointIO
from ganlab.runs.run_folder import CHECKPOINTS


class Saving(L.Callback):
    """``last.ckpt`` every so many iterations and at the end, and a bounded number of older ones.

    Numbers that are not finite are never saved; the run stops instead. A full disk is reported and
    the run goes on with the last good checkpoint in place.

    Args:
        folder: The run.
        io: Writes the files.
        every_steps: Interval in iterations.
        keep: Older checkpoints beside ``last.ckpt``.
        last_step: Iteration of the ``last.ckpt`` that is there already and whole, or None.

    Attributes:
        failure: Why the newest checkpoint is not on the disk, or None; known on the first rank.
    """

    def __init__(
        self, folder: Path, io: AtomicCheckpointIO, *, every_steps: int, keep: int, last_step: int | None = None
    ) -> None:
        self.folder, self.io, self.every_steps, self.keep = folder / CHECKPOINTS, io, every_steps, keep
        self.last_step = last_step
        self.failure: OSError | None = None
        self._tried: int | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            run_folder.clean(self.folder.parent)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GANModule)
        if pl_module.progress.iteration % self.every_steps == 0:
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, GANModule)
        if pl_module.progress.iteration not in (self.last_step, self._tried):
            self._save(trainer, pl_module)

    def _save(self, trainer: L.Trainer, module: GANModule) -> None:
        self._tried = module.progress.iteration
        finite.refuse_infinite(module)
        trainer.save_checkpoint(self.folder / checkpoints.NEXT)
        if not trainer.is_global_zero:
            return
        self.failure = self.io.failure
        if self.failure is None:
            try:
                checkpoints.shift(self.folder, self.last_step, self.keep)
                self.last_step = module.progress.iteration
                return
            except OSError as error:
                self.failure = error
        whole = (self.folder / checkpoints.LAST).is_file()
        stays = "the one before stays" if whole else "there is none yet"
        goes_on = "" if trainer.should_stop else ", and training goes on"
        print(
            f"The checkpoint of iteration {module.progress.iteration} could not be written to {self.folder} "
            f"({self.failure.strerror or self.failure}): {stays}{goes_on}.",
            file=sys.stderr,
            flush=True,
        )
