"""Samples: of a run, or a generator that was exported from one."""

from __future__ import annotations

import base64
import html
import io
import math
import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ganlab.core import files, memory
from ganlab.core.errors import GanlabError, shown
from ganlab.priors import truncate
from ganlab.sampling import generation, scatter, styles
from ganlab.sampling.styles import Style

SHOWN = 40  # images of the grid that a notebook shows


class Sampler:
    """A generator with its prior and its classes, and the samples that it makes.

    Attributes:
        folder: Where it was read.
        checkpoint: The file whose weights these are.
        messages: One sentence for each newer checkpoint that was damaged.
        standing: Cached standing statistics of batch norm, see `ganlab.runs.standing`.
    """

    folder: Path
    checkpoint: Path
    messages: list[str]
    standing: dict[Any, Any]

    @property
    @abstractmethod
    def generator(self) -> Any:
        """The averaged generator."""

    @property
    @abstractmethod
    def family(self) -> str:
        """The generator's name, as it is installed."""

    @property
    @abstractmethod
    def latent_prior(self) -> Any:
        """The distribution of latents."""

    @property
    @abstractmethod
    def iteration(self) -> int:
        """The number of iterations that the weights have seen."""

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """The number of classes; 0: none."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes; empty where they have numbers alone."""

    @property
    def makes_points(self) -> bool:
        """Tell if samples are points, which are images of one pixel."""
        return tuple(self.generator.image_shape[1:]) == (1, 1)

    def real_points(self) -> Tensor | None:
        """Return some real points (N, D), where they are known: an export has none."""
        return None

    def sample(
        self,
        count: int,
        labels: int | Sequence[int] | Tensor | None = None,
        *,
        truncation: float | None = None,
        seed: int = 0,
        start: int = 0,
        batch: int = 64,
        psi: float | None = None,
        cutoff: int | None = None,
        noise: str | None = None,
    ) -> Tensor:
        """Images, float32 (count, C, H, W) in [-1, 1] on the CPU; image i depends on (seed, i) alone.

        Args:
            count: How many.
            labels: One class for all, one for each image, or None: drawn uniformly by the seed.
            truncation: Latents come from the prior given that no |z_i| exceeds this; None: the prior.
            seed: Any non-negative number.
            start: Number of the first image: ``sample(1, start=17)`` is image 17, as in ``sample(18)``.
            batch: Images made at a time.
            psi: Truncation in w, for generators that have it: w_avg + psi·(w - w_avg).
            cutoff: Layers that ``psi`` truncates, from the first on; None: all.
            noise: ``random``, ``fixed`` or ``off``, for the same generators; None: random, a function of (seed, i).

        Raises:
            GanlabError: If an argument is out of range or does not fit the model.
        """
        _refuse_no_count(count=count, batch=batch)
        _refuse_no_count(0, seed=seed, start=start)
        prior = self.prior(truncation)
        memory.refuse(
            4 * count * math.prod(self.generator.image_shape),
            f"{count} images",
            "take fewer at a time, with start= for the next ones",
        )
        z = generation.latents(prior, seed, count, self.generator.latent_dim, start)
        y = self.labels(labels, count, seed, start)
        style = self.style(psi, cutoff, noise)
        return generation.generate(self.generator, z, y, batch, seed=seed, start=start, style=style)

    def style(
        self, psi: float | None = None, cutoff: int | None = None, noise: str | None = None, usual: str = "random"
    ) -> Style | None:
        """Return the style options of the generator, or None without a w space.

        Args:
            usual: The default noise.

        Raises:
            GanlabError: If an option needs a w space and there is none, or is out of range.
        """
        generator, family = self.generator, self.family
        for name, value in (("psi", psi), ("cutoff", cutoff), ("noise", noise)):
            if value is not None:
                styles.refuse_without_styles(generator, family, f"{name}={value}")
        return styles.style(generator, family, psi, cutoff, usual if noise is None else noise)

    def prior(self, truncation: float | None) -> Any:
        """Return the distribution of latents, truncated or whole.

        Raises:
            GanlabError: If ``truncation`` is not positive.
        """
        prior = self.latent_prior
        if truncation is None:
            return prior
        if isinstance(truncation, bool) or not isinstance(truncation, (int, float)) or not truncation > 0:
            raise GanlabError(f"truncation must be a positive number, got {shown(truncation)}.")
        return truncate(prior, truncation)

    def labels(
        self, labels: int | Sequence[int] | Tensor | None, count: int, seed: int, start: int = 0
    ) -> Tensor | None:
        """The class of each image as in `sample`, int64 (count,), or None if it has no classes.

        Raises:
            GanlabError: If ``labels`` do not fit the model or the number of images.
        """
        classes = self.num_classes
        if labels is not None and not classes:
            raise GanlabError("labels were given, but the model is unconditional: leave them out.")
        if not classes:
            return None
        if labels is None:
            return generation.labels(seed, count, classes, start)
        try:
            chosen = torch.as_tensor(labels).cpu().reshape(-1)
        except (TypeError, ValueError, RuntimeError) as error:
            raise GanlabError(f"labels must be one class or a list of classes, got {shown(labels)}.") from error
        if len(chosen) and (chosen.is_floating_point() or chosen.is_complex() or chosen.dtype is torch.bool):
            raise GanlabError(f"labels must be whole numbers, got {shown(labels)}.")
        chosen = chosen.long()
        if len(chosen) not in (1, count):
            raise GanlabError(f"labels must be one class or {count} classes, got {len(chosen)}.")
        chosen = chosen.expand(count).clone()
        wrong = [int(c) for c in chosen if not 0 <= c < classes]
        if wrong:
            raise GanlabError(f"labels must be classes from 0 to {classes - 1}, got {wrong[0]}.")
        return chosen

    def grid(
        self, count: int = SHOWN, columns: int = 10, labels: int | Sequence[int] | None = None, **options: Any
    ) -> Image.Image:
        """Draw samples side by side; points as a plot above real ones.

        Args:
            count: How many.
            columns: Images in a row.
            labels: See `sample`; None: as there, or one class after the other where there are classes.
            options: Further ones of `sample`: ``truncation``, ``seed``, ...

        Raises:
            GanlabError: As `sample`.
        """
        _refuse_no_count(count=count, columns=columns)
        classes = self.num_classes
        if labels is None and classes:
            labels = [i % classes for i in range(count)]
        samples = self.sample(count, labels, **options)
        if self.makes_points:
            classes_shown = labels if isinstance(labels, Sequence) else None
            canvas = scatter.picture(samples, self.real_points(), classes_shown)
        else:
            canvas = generation.grid(samples, min(columns, count))
        array = canvas.permute(1, 2, 0).numpy()  # (H, W, C)
        return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array[:, :, :3])

    def save(self, path: str | os.PathLike[str], count: int = SHOWN, columns: int = 10, **options: Any) -> Path:
        """Write the picture of `grid`.

        Args:
            path: A file that ends in .png, .jpg or another name that Pillow knows.

        Raises:
            GanlabError: If it cannot be written; and as `grid`.
        """
        file, picture = files.named(path, "a picture"), self.grid(count, columns, **options)
        try:
            picture.save(file)
        except (OSError, ValueError) as error:
            raise GanlabError(f"{path} cannot be written as a picture: {error}.") from error
        return file

    def _repr_html_(self) -> str:
        """Return the same with a grid, for a notebook."""
        text = f"<p><code>{html.escape(repr(self).strip('<>'))}</code></p>"
        try:
            picture = self.grid()
        except GanlabError as error:  # a game without a generator
            return f"{text}<p>{html.escape(str(error))}</p>"
        file = io.BytesIO()
        picture.save(file, format="PNG")
        return f'{text}<img alt="samples" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'


def _refuse_no_count(least: int = 1, **numbers: Any) -> None:
    for name, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise GanlabError(f"{name} must be a whole number of at least {least}, got {shown(number)}.")
