"""Normal distributions on a square grid."""

from __future__ import annotations

from typing import Literal

import torch

from ganlab.core.checks import at_least, positive
from ganlab.data.mixture import Mixture


class Grid(Mixture):
    """Points of the plane around the points of a square grid, centred at 0.

    The 25 modes at distance 2 with a standard deviation of 0.05 are those of Srivastava et al. 2017 (VEEGAN,
    arXiv:1705.07761), sec. 4.1; ``side=10`` is a grid of 100.

    Args:
        side: Modes of a row, and rows.
        spacing: Distance of two neighbouring modes.
        std: Standard deviation around a mode.
        count: Number of points.
        seed: Of the draw.
        labels: none, or modes: the mode of a point is its class.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(
        self,
        side: int = 5,
        spacing: float = 2.0,
        std: float = 0.05,
        count: int = 50_000,
        seed: int = 0,
        labels: Literal["none", "modes"] = "none",
    ) -> None:
        at_least("side", side, 1)
        along = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2) * positive("spacing", spacing)
        super().__init__(torch.cartesian_prod(along, along).view(-1, 2), std, count, seed, labels)
