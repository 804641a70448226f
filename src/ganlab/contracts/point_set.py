"""Data sets of points: vectors of a few numbers instead of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from ganlab.contracts.dataset import Dataset


@dataclass(frozen=True)
class Modes:
    """The modes of a mixture of normal distributions of one width and equal shares.

    Args:
        centres: float64 (K, D).
        std: Standard deviation of each coordinate around a centre.
    """

    centres: Tensor
    std: float


class PointSet(Dataset):
    """Points (N, D) of a data set, one or two coordinates each.

    A point is an image of one pixel with D channels: networks see (B, D, 1, 1). It is taken as it is, float32: it is
    not scaled, rounded or bounded. That a set is one of these decides that data are points.

    Args:
        points: float (N, D).
        modes: The modes that the points come from; None: not known.
    """

    native_size = (1, 1)
    held_out = 0.2
    steps: ClassVar[int] = 10_000
    protocol: ClassVar[str] = "points"

    def __init__(self, points: np.ndarray, modes: Modes | None = None) -> None:
        self.points, self.modes = np.ascontiguousarray(points, dtype=np.float32), modes
        self.native_channels = self.points.shape[1]

    def __len__(self) -> int:
        return len(self.points)

    def image(self, index: int) -> np.ndarray:
        """The point at ``index``, float32 (1, 1, D)."""
        point: np.ndarray = self.points[index][None, None]
        return point

    def name(self, index: int) -> str:
        return f"point {index}"
