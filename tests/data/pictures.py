"""Tiny pictures and a data set that counts, for the tests of this folder."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from ganlab.contracts.dataset import Dataset


def encoded(level: int, size: tuple[int, int] = (8, 8), format: str = "PNG") -> bytes:
    """A picture whose every pixel is ``level``, so that a test can tell which one it got."""
    file = io.BytesIO()
    Image.new("L", size, level).save(file, format)
    return file.getvalue()


def labels_of(dataset: Dataset) -> np.ndarray:
    """The labels of a set that has some."""
    assert dataset.labels is not None
    return dataset.labels


class Counting(Dataset):
    """Images that say their index: image i is filled with i mod 251. Each decoding is noted in a file.

    Args:
        count: Number of images.
        size: Height and width.
        bad: Indices that cannot be decoded.
        log: File that gets one byte for each image that is asked for.
    """

    class_names = ("even", "odd")

    def __init__(self, count: int, size: int = 8, bad: tuple[int, ...] = (), log: Path | None = None) -> None:
        self.labels = np.arange(count) % 2
        self.native_size = (size, size)
        self._count, self._size, self._bad, self._log = count, size, bad, log

    def __len__(self) -> int:
        return self._count

    def image(self, index: int) -> np.ndarray:
        if self._log is not None:
            with self._log.open("ab", buffering=0) as log:
                log.write(b".")
        if index in self._bad:
            raise OSError("no picture")
        return np.full((self._size, self._size), index % 251, dtype=np.uint8)

    def fingerprint(self) -> str:
        return f"counting {len(self)} {self._bad}"

    def name(self, index: int) -> str:
        return f"{index:05}.png"
