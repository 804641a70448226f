"""Streams of images: generated ones, real ones, and those of a folder or an archive."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.contracts.dataset import Dataset
from ganlab.core import randomness, sizes
from ganlab.core.errors import GanlabError
from ganlab.data import pixels
from ganlab.data.folder import Folder
from ganlab.data.points import Points as PointFile
from ganlab.data.prepare import Images, UndecodableError, prepare
from ganlab.data.zip import Zip
from ganlab.priors import truncate
from ganlab.sampling import generation, styles
from ganlab.sampling.styles import Style

Rows = tuple[Tensor, Tensor | None, Tensor]
"""Images (B, C, H, W), uint8, or float32 points; labels (B,) or None; whether all are finite (a bool tensor)."""


@dataclass
class Source:
    """A stream of images.

    Args:
        count: How many.
        shape: (C, H, W).
        num_classes: Classes of the labels; 0: none.
        rows: ``rows(start, stop)``: those images; what they are depends on nothing else.
        are_points: Whether they are points, which are not rounded to levels of grey.
    """

    count: int
    shape: tuple[int, int, int]
    num_classes: int
    rows: Callable[[int, int], Rows]
    are_points: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """That of the images."""
        return torch.float32 if self.are_points else torch.uint8


def of_images(images: Images, rows: Tensor) -> Source:
    """Return a stream of rows of a prepared data set, in order."""

    def take(start: int, stop: int) -> Rows:
        chosen = rows[start:stop]
        labels = None if images.labels is None else images.labels[chosen]
        return images.pixels[chosen], labels, torch.tensor(True)

    return Source(len(rows), _shape(images.pixels), images.num_classes, take, images.are_points)


def of_generator(
    generator: nn.Module,
    prior: Any,
    count: int,
    seed: int,
    shares: Tensor | None,
    image_shape: tuple[int, int, int],
    truncation: float | None = None,
    are_points: bool = False,
) -> Source:
    """Return a stream of images that a generator makes. Image i depends on (seed, i) alone, but for layers that draw
    noise outside of a w space: they draw it a batch at a time.

    Those of a generator that is still growing are enlarged to their full size by repeating pixels, as those of
    Karras et al. 2018 (arXiv:1710.10196) are.

    Args:
        prior: What latents are drawn from.
        shares: (K,) of the labels; None: unconditional.
        image_shape: (C, H, W) at full size.
        truncation: psi of a generator with a w space; else the largest |z_i| of latents that the prior gives.
        are_points: Whether they are points.
    """
    style = Style(psi=1.0 if truncation is None else truncation)
    has_styles = styles.has_styles(generator)
    if not has_styles and truncation is not None:
        prior = truncate(prior, truncation)
    dim = int(getattr(generator, "latent_dim", 0))
    parameter = next(generator.parameters())

    @torch.no_grad()
    def make(start: int, stop: int) -> Rows:
        z = generation.latents(prior, seed, stop - start, dim, start)
        labels = None if shares is None else labels_of(shares, seed, start, stop)
        y = None if labels is None else labels.to(parameter.device)
        with torch.random.fork_rng(devices=[parameter.device] if parameter.device.type == "cuda" else []):
            torch.manual_seed(randomness.key(seed, "evaluation", start))
            x = z.to(parameter.device, parameter.dtype)
            images = styles.images(generator, x, y, style, seed, start) if has_styles else generator(x, y)
            images = images.float()
        finite = torch.isfinite(images).all()
        if are_points:
            return images, labels, finite
        return _enlarged(generation.to_uint8(images), image_shape), labels, finite

    return Source(count, image_shape, 0 if shares is None else len(shares), make, are_points)


def of_path(
    path: str,
    image_size: tuple[int, int],
    image_channels: int,
    num_classes: int,
    count: int = 0,
    seed: int = 0,
    class_names: Sequence[str] = (),
) -> tuple[Source, str, list[str]]:
    """Return a stream of the images of a folder or a zip archive, their fingerprint, and remarks for the user.

    Args:
        num_classes: Of the data; images that have another number of them are taken without their labels.
        class_names: Names of the data's classes; the images' classes are matched with them in order.
        count: How many of them, a keyed choice; 0 or more than there are: all.
        seed: Of that choice. Images come in the order of their names, as other codes read them, but those of class
            folders in a random one, see `shuffled`.

    Raises:
        GanlabError: If there are none, one cannot be read, or they are of mixed sizes or another size than the data's.
    """
    where = Path(os.path.expanduser(path))
    try:
        dataset: Dataset = Zip(path) if os.path.isfile(where) else Folder(path)
    except GanlabError as error:  # a data set names its own option
        raise GanlabError(str(error).replace("data.path", "images")) from error
    in_colour = _of_one_size(dataset, path, image_size)
    try:
        images = prepare(dataset, image_size=image_size, image_channels=image_channels)
    except UndecodableError as error:  # a file that begins like an image and is cut off
        raise GanlabError(f"images={path}: {error.counted}") from error
    remarks = []
    if in_colour and image_channels == 1:
        remarks.append(f"{in_colour:,} of the images are in colour, and the data is grey: they were converted.")
    rows = shuffled(torch.arange(len(images)), seed)[: count or None]
    if images.labels is None:
        rows = rows.sort().values
    elif images.num_classes != num_classes:
        if num_classes:
            remarks.append(
                f"images={path} has {images.num_classes:,} class folders, and the data {num_classes:,} classes: "
                f"labels are not used."
            )
        images = Images(images.pixels, None, 0, (), images.skipped, images.path)
    elif different := _first_different(class_names, images.class_names):
        remarks.append(
            f"The classes of images={path} have other names than the data's: {different[1]!r} is taken for "
            f"{different[0]!r}, and so on in order."
        )
    return of_images(images, rows), dataset.fingerprint(), remarks


def of_points(path: str, dimensions: int, count: int = 0, seed: int = 0) -> tuple[Source, str]:
    """Return a stream of the points of a CSV file, and their fingerprint.

    Args:
        dimensions: Coordinates of the data's points.
        count: How many of them, a keyed choice; 0 or more than there are: all.
        seed: Of that choice.

    Raises:
        GanlabError: If it cannot be read, or its points have another number of coordinates.
    """
    try:
        dataset = PointFile(path)
    except GanlabError as error:  # a data set names its own option
        raise GanlabError(str(error).replace("data.path", "images")) from error
    if dataset.native_channels != dimensions:
        raise GanlabError(
            f"images={path} has {dataset.native_channels} numbers a line, and the data's points have {dimensions}."
        )
    images = prepare(dataset, image_size=(1, 1), image_channels=dimensions)
    rows = shuffled(torch.arange(len(images)), seed)[: count or None].sort().values
    return of_images(images, rows), dataset.fingerprint()


def _of_one_size(dataset: Dataset, path: str, image_size: tuple[int, int]) -> int:
    """Check that all images can be read and have ``image_size``; return how many are in colour."""
    seen: dict[tuple[int, int], str] = {}
    colour, broken = 0, []
    for index in range(len(dataset)):
        try:
            picture: Any = dataset.image(index)
            seen.setdefault(pixels.size(picture), dataset.name(index))
            colour += pixels.channels(picture) > 1
        except Exception:  # decoders raise nearly anything
            broken.append(dataset.name(index))
            continue
        if len(seen) > 1:
            (a, first), (b, other) = seen.items()
            raise GanlabError(
                f"images={path} has images of mixed sizes: {first} is {sizes.words(a)} and {other} "
                f"{sizes.words(b)}; bring them to {sizes.words(image_size)}."
            )
    if broken:
        listed = ", ".join(broken[:5]) + (" and others" if len(broken) > 5 else "")
        raise GanlabError(
            f"images={path}: {len(broken):,} of {len(dataset):,} images cannot be read: {listed}. Make them again, or "
            f"remove them."
        )
    found = next(iter(seen), image_size)
    if found != image_size:
        key = found[0] if found[0] == found[1] else f"[{found[0]},{found[1]}]"
        raise GanlabError(
            f"images={path} has images of {sizes.words(found)}, and the data is taken at "
            f"{sizes.words(image_size)}: make samples of that size, or set data.image_size={key}."
        )
    return colour


def _first_different(names: Sequence[str], others: Sequence[str]) -> tuple[str, str] | None:
    """Return the first two names of one class that differ; a number is a name of the class of that number."""
    for number, (name, other) in enumerate(zip(names, others, strict=False)):
        if name != other and not (other.isdecimal() and int(other) == number):
            return name, other
    return None


def shuffled(rows: Tensor, seed: int) -> Tensor:
    """Return rows in a keyed random order, for images that are scored like generated ones.

    A data set may have one class after the other. Parts of consecutive images, such as the splits of some protocols'
    Inception Score, would then not be alike.
    """
    return rows[torch.randperm(len(rows), generator=randomness.generator("cpu", seed, "images", len(rows)))]


def _enlarged(images: Tensor, image_shape: tuple[int, int, int]) -> Tensor:
    for dim in (2, 3):
        if images.shape[dim] != image_shape[dim - 1]:
            images = images.repeat_interleave(image_shape[dim - 1] // images.shape[dim], dim)
    return images


def labels_of(shares: Tensor, seed: int, start: int, stop: int) -> Tensor:
    """Draw classes (stop - start,) with these shares (K,); that of image i depends on (seed, i) alone."""
    cumulated = shares.double().cpu().cumsum(0)
    drawn = [
        float(torch.rand((), generator=randomness.generator("cpu", seed, "sample", i, "label share")))
        for i in range(start, stop)
    ]
    uniform = torch.tensor(drawn, dtype=torch.float64)
    return torch.searchsorted(cumulated, uniform, right=True).clamp_(max=len(cumulated) - 1)


def _shape(images: Tensor) -> tuple[int, int, int]:
    channels, height, width = images.shape[1:]
    return channels, height, width
