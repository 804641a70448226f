"""A film of a run's sample grids, a callback."""

from __future__ import annotations

import io

import lightning as L
from PIL import Image

import ganlab


class Film(L.Callback):
    """``film.gif`` in the run: its sample grids one after the other, so one sees the same images grow.

    It is made when training ends, of all grids that are there, those of earlier sessions too.

    Args:
        seconds: Of each grid.
        width: Of the film at most, in pixels.

    Raises:
        ValueError: If a number is not positive.
    """

    order = 75  # after the grids, which are at 70
    cost = "at the end of a session, some milliseconds a grid"

    def __init__(self, run: ganlab.RunContext, seconds: float = 0.2, width: int = 640) -> None:
        for name, value in {"seconds": seconds, "width": width}.items():
            if value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")
        self.run, self.seconds, self.width = run, seconds, width

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        paths = sorted((self.run.folder / "samples").glob("iteration_*.png"))
        if not trainer.is_global_zero or not paths:
            return
        frames = []
        for path in paths:
            with Image.open(path) as image:
                frames.append(image.convert("RGB"))
        width, height = frames[-1].size  # those of networks that grow are smaller at first
        part = min(1.0, self.width / width)
        size = max(1, round(part * width)), max(1, round(part * height))
        first, *others = [frame.resize(size, Image.Resampling.NEAREST) for frame in frames]
        film = io.BytesIO()
        first.save(film, "GIF", save_all=True, append_images=others, duration=round(1000 * self.seconds), loop=0)
        (self.run.folder / "film.gif").write_bytes(film.getvalue())
