"""Samples of a trained generator, each a function of (seed, its number), and pictures of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from ganlab.core import files, randomness
from ganlab.core.errors import GanlabError
from ganlab.core.randomness import Distribution
from ganlab.sampling import styles
from ganlab.sampling.styles import Style

LEAST_TILE = 32  # smaller images are enlarged so that an eye can read them
GAP = 2  # white pixels between images


def latents(prior: Any, seed: int, count: int, dim: int, start: int = 0) -> Tensor:
    """(count, dim) latents; row i depends on (seed, start + i) alone, whatever the batch and device."""
    rows = []
    for number in range(start, start + count):

        def draw(
            purpose: str, shape: Sequence[int], distribution: Distribution = "normal", number: int = number
        ) -> Tensor:
            generator = randomness.generator("cpu", seed, "sample", number, purpose)
            return randomness.sample(generator, shape, distribution)

        rows.append(prior(draw, 1, dim))
    return torch.cat(rows) if rows else torch.empty(0, dim)


@torch.no_grad()
def generate(
    generator: nn.Module,
    z: Tensor,
    labels: Tensor | None,
    batch: int = 64,
    *,
    seed: int = 0,
    start: int = 0,
    style: Style | None = None,
) -> Tensor:
    """G(z, y) in batches, float32 (N, C, H, W) in [-1, 1] on the CPU; the generator in evaluation mode.

    Args:
        seed: Of the noise of a generator that draws some: image i has that of (seed, start + i).
        start: Number of the first image.
        style: How a generator with a w space makes images; None: without truncation, with noise.
    """
    parameter = next(generator.parameters())
    was_training = generator.training
    generator.eval()
    try:
        parts = []
        for i in range(0, len(z), batch):
            y = labels[i : i + batch].to(parameter.device) if labels is not None else None
            x = z[i : i + batch].to(parameter.device, parameter.dtype)
            if styles.has_styles(generator):
                part = styles.images(generator, x, y, style or Style(), seed, start + i)
            else:
                part = generator(x, y)
            parts.append(part.float().cpu().contiguous())
    finally:
        generator.train(was_training)
    images = torch.cat(parts)
    if not torch.isfinite(images).all():
        raise GanlabError("The generator makes NaN or infinite pixels: it has diverged. Sample an older checkpoint.")
    return images


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] -> 0..255, rounded; the inverse of x / 127.5 - 1."""
    return images.add(1).mul(127.5).round_().clamp_(0, 255).to(torch.uint8)


def rows_by_class(count: int, num_classes: int) -> tuple[list[int] | None, int]:
    """Labels of a grid with one row a class, see `in_turn`, and its number of columns; about ``count`` images.

    Classes beyond what the count allows are left out of the grid.
    """
    if not num_classes:
        return None, max(1, math.ceil(math.sqrt(count)))
    rows = min(num_classes, max(1, count))
    columns = max(1, count // rows)
    return in_turn(range(rows), 0, rows * columns), columns


def in_turn(classes: Sequence[int], start: int, stop: int) -> list[int]:
    """Classes of images ``start`` to ``stop``, repeated in turn: that of image i depends on i alone."""
    return [classes[i % len(classes)] for i in range(start, stop)]


def rows(images: Tensor, labels: Sequence[int]) -> tuple[Tensor, int, list[int]]:
    """Images of one class in one row each, in the order in which classes first appear.

    Returns:
        The images, with white at the end of shorter rows; the number of columns; the class of each row.
    """
    by_class: dict[int, list[Tensor]] = {}
    for image, label in zip(images, labels, strict=True):
        by_class.setdefault(label, []).append(image)
    columns = max(map(len, by_class.values()))
    white = torch.ones_like(images[0])
    tiles = [tile for row in by_class.values() for tile in row + [white] * (columns - len(row))]
    return torch.stack(tiles), columns, list(by_class)


def grid(images: Tensor, columns: int, scale: int | None = None) -> Tensor:
    """Images (N, C, H, W) in [-1, 1] side by side: uint8 (C, H', W'), white between.

    Args:
        scale: How many times each image is enlarged, by repeating its pixels; None: small ones, so that an eye can
            read them.
    """
    pixels = to_uint8(images)
    scale = scale or max(1, math.ceil(LEAST_TILE / min(pixels.shape[2:])))
    pixels = pixels.repeat_interleave(scale, 2).repeat_interleave(scale, 3)  # (N, C, scale·H, scale·W)
    count, channels, height, width = pixels.shape
    rows = math.ceil(count / columns)
    shape = channels, rows * (height + GAP) + GAP, columns * (width + GAP) + GAP
    canvas = torch.full(shape, 255, dtype=torch.uint8)
    for number, tile in enumerate(pixels):
        row, column = divmod(number, columns)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        canvas[:, top : top + height, left : left + width] = tile
    return canvas


def write_png(canvas: Tensor, path: Path) -> None:
    """Write uint8 (C, H, W), one or three channels, whole or not at all."""
    array = canvas.permute(1, 2, 0).numpy()  # (H, W, C)
    picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array[:, :, :3])
    with files.whole(path) as file:
        picture.save(file, format="PNG")


def labels(seed: int, count: int, num_classes: int, start: int = 0) -> Tensor:
    """(count,) classes, uniform; entry i depends on (seed, start + i) alone."""
    drawn = [
        int(torch.randint(num_classes, (), generator=randomness.generator("cpu", seed, "sample", i, "label")))
        for i in range(start, start + count)
    ]
    return torch.tensor(drawn, dtype=torch.int64)
