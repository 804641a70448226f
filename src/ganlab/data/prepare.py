"""From a data set to one tensor, in memory or mapped from the cache."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganlab.contracts.dataset import Dataset
from ganlab.contracts.point_set import PointSet
from ganlab.core import sizes
from ganlab.core.cache import cache_folder
from ganlab.core.checks import at_least, at_least_zero
from ganlab.core.errors import GanlabError, one_of
from ganlab.data.decode import Chunk, Failure, decode
from ganlab.data.pack import PackFile
from ganlab.data.progress import Progress

_LISTED = 10


class UndecodableError(GanlabError):
    """Images that cannot be decoded.

    Attributes:
        counted: Their number and names, without a remedy.
    """

    def __init__(self, failures: list[Failure], total: int) -> None:
        listed = "; ".join(f"{failure.name} ({failure.reason})" for failure in failures[:_LISTED])
        more = f"; and {len(failures) - _LISTED:,} more" if len(failures) > _LISTED else ""
        self.counted = f"{len(failures):,} of {total:,} images cannot be decoded: {listed}{more}."
        remedy = "Repair or remove them, or leave them out with data.undecodable=skip."
        super().__init__(f"{self.counted} {'Is data.path the right one?' if len(failures) == total else remedy}")


@dataclass(frozen=True)
class Images:
    """A data set, ready to be indexed.

    Attributes:
        pixels: uint8 ``(N, C, H, W)``, contiguous; of points float32 ``(N, D, 1, 1)``.
        labels: int64 ``(N,)``, or None.
        num_classes: 0 where there are no labels.
        class_names: One a class.
        skipped: Names of the images that could not be decoded.
        path: The file that ``pixels`` are mapped from; None where they are held in memory.
    """

    pixels: Tensor
    labels: Tensor | None
    num_classes: int
    class_names: tuple[str, ...]
    skipped: tuple[str, ...]
    path: Path | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def are_points(self) -> bool:
        """Tell if they are points, whose numbers are no levels of grey."""
        return self.pixels.is_floating_point()

    @property
    def things(self) -> str:
        """Return what they are called in messages: ``images`` or ``points``."""
        return "points" if self.are_points else "images"


def prepare(
    source: Dataset,
    *,
    image_size: tuple[int, int],
    image_channels: int,
    memory_budget_mib: float = 2048,
    undecodable: str = "error",
    cache_dir: str | os.PathLike[str] | None = None,
    num_workers: int | None = None,
) -> Images:
    """Decode all images of ``source`` at one size, see `ganlab.data.pixels`.

    A set that fits the budget becomes one tensor in memory. A larger one is packed into a file of the
    cache, which later runs and other ranks map at once. Besides the tensor only a few images are in
    memory at any time. Both give the same pixels.

    Points are taken as they are.

    Args:
        image_size: (height, width).
        image_channels: 1 or 3; of points their coordinates.
        memory_budget_mib: Memory for the decoded set, in MiB; 0 always packs.
        undecodable: ``error``, or ``skip`` to leave out images that cannot be decoded.
        cache_dir: Where packs are kept; None is ganlab's cache, see `cache_folder`.
        num_workers: Threads that decode; None is one a core.

    Raises:
        ValueError: If an option is out of range.
        UndecodableError: If images cannot be decoded.
        GanlabError: If there are none, or the pack cannot be written.
    """
    if isinstance(source, PointSet):
        return _points(source)
    _check_options(image_size, image_channels, memory_budget_mib, undecodable, num_workers)
    total = len(source)
    if total == 0:
        raise GanlabError("The data set has no images; point data.path at a folder or archive that has some.")
    labels = _checked_labels(source)
    height, width = image_size
    shape = (image_channels, height, width)
    chunks = decode(source, (height, width), image_channels, num_workers)
    what = f"{total:,} images at {sizes.words(image_size)}"
    if total * image_channels * height * width <= memory_budget_mib * 2**20:
        pixels, failures = _in_memory(chunks, total, shape, f"decoding {what}")
        path = None
    else:
        file = PackFile(cache_folder(cache_dir) / "packs", source.fingerprint(), shape, total)
        pack = file.open_or_make(chunks, f"packing {what}")
        pixels, failures, path = torch.from_numpy(pack.pixels), pack.failures, pack.path
    if failures and (undecodable == "error" or len(failures) == total):
        raise UndecodableError(failures, total)
    return Images(
        pixels=pixels,
        labels=None if labels is None else _without(labels, failures),
        num_classes=source.num_classes,
        class_names=tuple(source.class_names),
        skipped=tuple(failure.name for failure in failures),
        path=path,
    )


def _points(source: PointSet) -> Images:
    points = torch.from_numpy(source.points)[..., None, None]  # (N, D, 1, 1)
    labels = _checked_labels(source)
    classes = None if labels is None else torch.from_numpy(labels)
    return Images(points, classes, source.num_classes, tuple(source.class_names), ())


def _in_memory(
    chunks: Iterable[Chunk], total: int, shape: tuple[int, int, int], what: str
) -> tuple[Tensor, list[Failure]]:
    pixels = torch.empty((total, *shape), dtype=torch.uint8)
    destination = pixels.numpy()
    count, failures = 0, []
    with Progress(what, total) as progress:
        for chunk in chunks:
            destination[count : count + len(chunk.pixels)] = chunk.pixels
            count += len(chunk.pixels)
            failures += chunk.failures
            progress.update(chunk.total)
    return pixels[:count], failures


def _without(labels: np.ndarray, failures: list[Failure]) -> Tensor:
    return torch.from_numpy(np.delete(labels, [failure.index for failure in failures]))


def _check_options(
    image_size: tuple[int, int],
    image_channels: int,
    memory_budget_mib: float,
    undecodable: str,
    num_workers: int | None,
) -> None:
    if len(image_size) != 2 or min(image_size) < 1:
        raise ValueError(f"image_size must be two positive numbers, height and width, got {image_size}")
    if image_channels not in (1, 3):
        raise ValueError(f"image_channels must be 1 (grey) or 3 (colour), got {image_channels}")
    at_least_zero("memory_budget_mib", memory_budget_mib)
    at_least("num_workers", num_workers or 0, 0)
    one_of(undecodable, ("error", "skip"), "undecodable")


def _checked_labels(source: Dataset) -> np.ndarray | None:
    """Return the labels as int64; refuse those of a plug-in's set that are wrong."""
    if source.labels is None:
        return None
    labels = np.asarray(source.labels)
    if labels.shape != (len(source),) or not np.issubdtype(labels.dtype, np.integer):
        raise GanlabError(
            f"The data set {type(source).__name__} must give one integer label an image, shape ({len(source)},), "
            f"got {labels.dtype} {labels.shape}; its author must correct this."
        )
    if labels.min() < 0 or labels.max() >= source.num_classes:
        raise GanlabError(
            f"The data set {type(source).__name__} has {source.num_classes} class names and labels from "
            f"{labels.min()} to {labels.max()}; its author must correct this."
        )
    return labels.astype(np.int64)
