"""A spiral."""

from __future__ import annotations

import math

import torch

from ganlab.contracts.point_set import PointSet
from ganlab.core import randomness
from ganlab.core.checks import at_least, at_least_zero
from ganlab.data.mixture import drawn

TURNS = (0.75, 2.25)  # of the spiral
_RADIUS = 2.0  # of its outer end


class SwissRoll(PointSet):
    """Points of the plane along a spiral of one and a half turns, from radius 2/3 to 2.

    x = r t (cos t, sin t) + std·n        t = 1.5 π (1 + 2 u), u uniform in [0, 1), r so that the outer radius is 2

    Source: scikit-learn's ``make_swiss_roll`` without its height, scaled; as in Gulrajani et al. 2017
    (arXiv:1704.00028), figure 1.

    Args:
        std: Standard deviation of the noise.
        count: Number of points.
        seed: Of the draw.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(self, std: float = 0.05, count: int = 50_000, seed: int = 0) -> None:
        at_least_zero("std", std)
        at_least("count", count, 1)
        at_least("seed", seed, 0)
        uniform = torch.rand(count, generator=randomness.generator("cpu", seed, "points", "roll", count)).double()
        t = 2 * math.pi * (TURNS[0] + (TURNS[1] - TURNS[0]) * uniform)
        roll = torch.stack([t.cos(), t.sin()], 1) * (t * _RADIUS / (2 * math.pi * TURNS[1]))[:, None]
        super().__init__((roll + std * drawn(seed, "roll", count, 2)).numpy())
        self._about = f"SwissRoll {std} {count} {seed} 1"

    def fingerprint(self) -> str:
        return self._about
