"""Sample grids: the same latents every time, so that one sees the same images grow."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch

from ganlab.core.errors import GanlabError
from ganlab.engine.module import GANModule
from ganlab.priors import truncate
from ganlab.runs.run_folder import SAMPLES
from ganlab.sampling import captions, generation


class Grids(L.Callback):
    """A grid from fixed latents with the averaged weights, every so often and at the end; one row a
    class, and its name beside it, where there are classes.

    Args:
        folder: The run.
        every_steps: Interval in iterations.
        count: Images of a grid.
        keep: Grids kept; when there are more, every second one goes, so the whole run stays visible.
        truncation: Threshold of the latents, or None.
        seed: Of the latents.
        class_names: One a class; classes without one are called by their number.
    """

    def __init__(
        self,
        folder: Path,
        *,
        every_steps: int,
        count: int,
        keep: int,
        truncation: float | None,
        seed: int,
        class_names: Sequence[str] = (),
    ) -> None:
        self.folder, self.every_steps, self.count, self.keep = folder / SAMPLES, every_steps, count, keep
        self.truncation, self.seed, self.class_names = truncation, seed, class_names
        self.last: Path | None = None
        self._written_at = -1

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GANModule)
        if pl_module.progress.iteration % self.every_steps == 0:
            self._write(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, GANModule)
        if pl_module.progress.iteration != self._written_at:
            self._write(trainer, pl_module)

    def _write(self, trainer: L.Trainer, module: GANModule) -> None:
        self._written_at = module.progress.iteration
        if not trainer.is_global_zero or "generator" not in module.average:
            return
        generator: Any = module.average["generator"]
        if len(getattr(generator, "image_shape", ())) != 3 or generator.image_shape[0] not in (1, 3):
            return  # points of a plane are no picture
        prior = module.setting.prior
        if self.truncation is not None:
            prior = truncate(prior, self.truncation)
        labels, columns = generation.rows_by_class(self.count, generator.num_classes)
        count = len(labels) if labels is not None else self.count
        z = generation.latents(prior, self.seed, count, generator.latent_dim)
        try:
            y = None if labels is None else torch.tensor(labels)
            images = generation.generate(generator, z, y, seed=self.seed)
        except GanlabError:
            return  # NaN pixels: the recorder or the checkpoint will stop the run with the reason
        names: list[str] = []
        if labels is not None:
            images, columns, classes = generation.rows(images, labels)
            names = captions.of_classes(classes, self.class_names)
        canvas = captions.beside(generation.grid(images, columns), names)
        path = self.folder / f"iteration_{module.progress.iteration:09d}.png"
        try:
            generation.write_png(canvas, path)
        except OSError as error:
            print(f"{path} cannot be written ({error.strerror or error}): training goes on.", file=sys.stderr)
            return
        self.last = path
        self._thin_out()
        for logger in trainer.loggers:
            try:
                _log_picture(logger, canvas.permute(1, 2, 0).numpy(), module)
            except OSError as error:
                name = type(logger).__name__
                print(f"{name} cannot write a grid ({error.strerror or error}): training goes on.", file=sys.stderr)

    def _thin_out(self) -> None:
        grids = sorted(self.folder.glob("iteration_*.png"))
        if len(grids) > self.keep:
            for path in grids[1:-1:2]:
                path.unlink(missing_ok=True)


def _log_picture(logger: Any, picture: np.ndarray, module: GANModule) -> None:
    step = module.progress.images_seen
    if hasattr(logger, "log_image"):  # Weights & Biases
        logger.log_image("samples", [picture], step=step)
    elif hasattr(getattr(logger, "experiment", None), "add_image"):  # TensorBoard
        logger.experiment.add_image("samples", picture, step, dataformats="HWC")
