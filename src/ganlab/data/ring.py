"""Normal distributions on a circle."""

from __future__ import annotations

import math
from typing import Literal

import torch

from ganlab.core.checks import at_least, positive
from ganlab.data.mixture import Mixture


class Ring(Mixture):
    """Points of the plane around the corners of a regular polygon.

    Eight modes at radius 2 with a standard deviation of 0.02 are those of Metz et al. 2017 (arXiv:1611.02163), app. A.

    Args:
        modes: Number of corners.
        radius: Of the circle.
        std: Standard deviation around a corner.
        count: Number of points.
        seed: Of the draw.
        labels: none, or modes: the mode of a point is its class.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(
        self,
        modes: int = 8,
        radius: float = 2.0,
        std: float = 0.02,
        count: int = 50_000,
        seed: int = 0,
        labels: Literal["none", "modes"] = "none",
    ) -> None:
        at_least("modes", modes, 1)
        angles = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
        corners = positive("radius", radius) * torch.stack([angles.cos(), angles.sin()], 1)
        super().__init__(corners, std, count, seed, labels)
