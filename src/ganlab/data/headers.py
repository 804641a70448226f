"""The sizes and colours of a data set as it is stored, from a sample of its images; pixels are not decoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ganlab.contracts.dataset import Dataset
from ganlab.data import pixels

SAMPLED = 64
SMALLER = 10  # one in so many images may be smaller than what the set is said to have

Header = tuple[tuple[int, int], int]
"""(height, width) and channels, 1 or 3."""


@dataclass(frozen=True)
class Found:
    """The sizes and colours of the images of a set.

    Args:
        sizes: (height, width) of some of them, those with the shortest sides first; empty if it is not known.
        channels: 1 where they are grey, 3 where any may be in colour.
    """

    sizes: tuple[tuple[int, int], ...]
    channels: int

    @property
    def short_side(self) -> int | None:
        """Return the length in pixels that the shorter side of nine in ten images has at least."""
        return min(self.sizes[len(self.sizes) // SMALLER]) if self.sizes else None


def sample(count: int) -> list[int]:
    """Return a few of ``count`` indices, evenly spaced, the first and the last among them."""
    return [int(index) for index in np.linspace(0, count - 1, min(count, SAMPLED))]


def headers(source: Dataset) -> list[Header]:
    """Return the headers of a sample of the images. Those that cannot be opened are left out: decoding reports them."""
    found = []
    for index in sample(len(source)):
        try:
            picture = source.image(index)
            if isinstance(picture, Image.Image):
                found.append((pixels.size(picture), pixels.channels(picture)))
            else:
                grey = picture.ndim == 2 or picture.shape[2] == 1
                found.append(((picture.shape[0], picture.shape[1]), 1 if grey else 3))
        except Exception:  # decoders meet damaged files with nearly any exception
            continue
    return found


def look(source: Dataset) -> Found:
    """Return the sizes and colours of ``source``: as it declares them, or else those of a sample."""
    sizes = [source.native_size] if source.native_size is not None else [size for size, _ in headers(source)]
    return Found(tuple(sorted(sizes, key=lambda size: (min(size), size))), 1 if source.native_channels == 1 else 3)
