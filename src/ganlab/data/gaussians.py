"""Normal distributions in a row."""

from __future__ import annotations

from typing import Literal

import torch

from ganlab.core.checks import at_least, at_least_zero
from ganlab.data.mixture import Mixture


class Gaussians(Mixture):
    """Points of normal distributions whose centres lie on a line, at equal distances around 0.

    Args:
        dimensions: 1: numbers; 2: points of the plane, with the centres on its horizontal axis.
        modes: Number of distributions; 1: a single one.
        spacing: Distance of two neighbouring centres.
        std: Standard deviation around a centre.
        count: Number of points.
        seed: Of the draw.
        labels: none, or modes: the mode of a point is its class.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(
        self,
        dimensions: Literal[1, 2] = 1,
        modes: int = 2,
        spacing: float = 4.0,
        std: float = 0.5,
        count: int = 50_000,
        seed: int = 0,
        labels: Literal["none", "modes"] = "none",
    ) -> None:
        at_least("dimensions", dimensions, 1, 2)
        at_least("modes", modes, 1)
        at_least_zero("spacing", spacing)
        centres = torch.zeros(modes, dimensions, dtype=torch.float64)
        centres[:, 0] = (torch.arange(modes) - (modes - 1) / 2) * spacing
        super().__init__(centres, std, count, seed, labels)
