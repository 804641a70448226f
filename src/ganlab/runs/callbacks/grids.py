"""Sample grids, or scatter plots of points: the same latents every time, so that those of one run can be compared."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from ganlab.contracts.callback import RunContext
from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.engine.module import GameModule
from ganlab.priors import truncate
from ganlab.runs.run_folder import SAMPLES
from ganlab.sampling import captions, generation, scatter


class Grids(L.Callback):
    """A grid from fixed latents with the averaged weights, every so often and at the end; one row a
    class, and its name beside it, where there are classes. Of points a scatter plot above real ones.

    Args:
        every_steps: Interval in iterations.
        count: Images of a grid, or points of a plot.
        keep: Grids kept; when there are more, every second one is removed, so the whole run stays visible.
        truncation: Threshold of the latents, or None.
    """

    order = 70
    cost = "each sample.every_steps iterations, sample.count images of the averaged generator, and a PNG"

    def __init__(self, run: RunContext, *, every_steps: int, count: int, keep: int, truncation: float | None) -> None:
        self.run, self.folder, self.truncation = run, run.folder / SAMPLES, truncation
        self.every_steps, self.count, self.keep = every_steps, count, keep
        if truncation is not None:
            truncate(run.experiment.module.setting.prior, truncation)  # refused now, not at the first grid
        self._written_at = -1

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GameModule)
        # the last grid comes before the last checkpoint: a complete run is not resumed
        if pl_module.progress.iteration % self.every_steps == 0 or pl_module.training_options.ends(pl_module.progress):
            self._write(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, GameModule)
        if pl_module.progress.iteration != self._written_at:
            self._write(trainer, pl_module)

    def _write(self, trainer: L.Trainer, module: GameModule) -> None:
        self._written_at = module.progress.iteration
        if not trainer.is_global_zero or "generator" not in module.average:
            return
        generator: Any = module.average["generator"]
        reals = self._real_points()
        if reals is None and (
            len(getattr(generator, "image_shape", ())) != 3 or generator.image_shape[0] not in (1, 3)
        ):
            return
        prior = module.setting.prior
        if self.truncation is not None:
            prior = truncate(prior, self.truncation)
        labels, columns = generation.rows_by_class(self.count, generator.num_classes)
        if reals is not None and labels is not None:
            labels = generation.in_turn(range(generator.num_classes), 0, self.count)
        count = len(labels) if labels is not None else self.count
        seed = module.training_options.seed
        z = generation.latents(prior, seed, count, generator.latent_dim)
        try:
            y = None if labels is None else torch.tensor(labels)
            images = generation.generate(generator, z, y, seed=seed)
        except GanlabError:
            return  # NaN pixels: the recorder or the checkpoint will stop the run with the reason
        canvas = self._grid(images, labels, columns) if reals is None else scatter.picture(images, reals, labels)
        path = self.folder / f"iteration_{module.progress.iteration:09d}.png"
        try:
            generation.write_png(canvas, path)
        except OSError as error:
            print(
                f"{files.typed(path)} cannot be written ({error.strerror or error}): training goes on.", file=sys.stderr
            )
            return
        self.run.ending.grid = path
        self._thin_out()
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image("samples", [canvas.permute(1, 2, 0).numpy()], step=module.progress.images_seen)

    def _grid(self, images: Tensor, labels: Sequence[int] | None, columns: int) -> Tensor:
        names: list[str] = []
        if labels is not None:
            images, columns, classes = generation.rows(images, labels)
            names = captions.of_classes(classes, self.run.class_names)
        return captions.beside(generation.grid(images, columns), names)

    def _real_points(self) -> Tensor | None:
        """Return real points to draw; None of a run on images."""
        data = None if self.run.experiment is None else self.run.experiment.data
        if data is None or not data.images.are_points:
            return None
        return data.images.pixels[data.splits["train"][: scatter.REALS]]

    def _thin_out(self) -> None:
        grids = sorted(self.folder.glob("iteration_*.png"))
        if len(grids) > self.keep:
            for path in grids[1:-1:2]:
                path.unlink(missing_ok=True)
