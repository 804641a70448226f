"""Checkpoints on the step clock."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightning as L
import torch

from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.engine.module import GANModule
from ganlab.runs import checkpoints
from ganlab.runs.callbacks.recorder import diverged
from ganlab.runs.checkpoints import AtomicCheckpointIO
from ganlab.runs.run_folder import CHECKPOINTS, SAMPLES


class Saving(L.Callback):
    """``last.ckpt`` every so many iterations and at the end, and a bounded number of older ones.

    Weights that are not finite are never saved; the run stops instead. A full disk is reported and
    the run goes on with the last good checkpoint in place.

    Args:
        folder: The run.
        io: Writes the files.
        every_steps: Interval in iterations.
        keep: Older checkpoints beside ``last.ckpt``.
        last_step: Iteration of the ``last.ckpt`` that is there already and whole, or None.
    """

    def __init__(
        self, folder: Path, io: AtomicCheckpointIO, *, every_steps: int, keep: int, last_step: int | None = None
    ) -> None:
        self.folder, self.io, self.every_steps, self.keep = folder / CHECKPOINTS, io, every_steps, keep
        self.last_step = last_step
        self._tried: int | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            for folder in (self.folder, self.folder.parent, self.folder.parent / SAMPLES):
                files.clean(folder)

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
        norms = torch._foreach_norm([p.detach() for p in module.game.parameters()])
        if not torch.isfinite(torch.stack([n.float() for n in norms]).sum()):
            raise GanlabError(diverged("weights are NaN or infinite", module))
        trainer.save_checkpoint(self.folder / checkpoints.NEXT)
        if not trainer.is_global_zero:
            return
        failure = self.io.failure
        if failure is None:
            try:
                checkpoints.shift(self.folder, self.last_step, self.keep)
                self.last_step = module.progress.iteration
                return
            except OSError as error:
                failure = error
        whole = (self.folder / checkpoints.LAST).is_file()
        stays = "the one before stays" if whole else "there is none yet"
        print(
            f"The checkpoint of iteration {module.progress.iteration} could not be written to {self.folder} "
            f"({failure.strerror or failure}): {stays}, and training goes on.",
            file=sys.stderr,
            flush=True,
        )
