"""Noise of layers that is optimized with the code of an image, and kept noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

WEIGHT, POSITIONS = 1e5, 1024**2  # of the penalty, for maps of so many positions
COARSEST = 8  # pixels of the smallest scale that is looked at


class OptimizedNoise:
    """The noise of N images as numbers (N, positions), which begin as N(0, 1).

    The penalty is weighted by 1e5·(P/1024²)^1.5, with P the positions of the largest map: as in the paper for images of
    1024 pixels, and less for smaller ones, whose noise would else stay as it was drawn.

    Source: Karras et al. 2020 (arXiv:1912.04958), app. D.

    Args:
        sizes: (H, W) of each layer's map.
        count: N.
        random: Of the first numbers.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]], count: int, random: torch.Generator) -> None:
        self.sizes = list(sizes)
        areas = [height * width for height, width in sizes]
        self.weight = WEIGHT * (max(areas) / POSITIONS) ** 1.5
        self.numbers = torch.randn(count, sum(areas), generator=random).requires_grad_()

    def maps(self) -> Iterator[Tensor]:
        """Yield the map of each layer, (N, 1, H, W)."""
        areas = [height * width for height, width in self.sizes]
        for part, size in zip(self.numbers.split(areas, 1), self.sizes, strict=True):
            yield part.unflatten(1, (1, *size))

    def penalty(self) -> Tensor:
        """Return the weighted sum of `autocorrelation` over layers, (N,)."""
        return self.weight * torch.stack([autocorrelation(each) for each in self.maps()]).sum(0)

    @torch.no_grad()
    def normalize(self) -> None:
        """Give each map mean 0 and variance 1."""
        for each in self.maps():
            each.sub_(each.mean((2, 3), keepdim=True))
            each.mul_(each.square().mean((2, 3), keepdim=True).add(1e-8).rsqrt())


def autocorrelation(n: Tensor) -> Tensor:
    """Measure how much neighbours in noise (N, 1, H, W) know of each other, (N,); white noise has about 0.

    Σ over scales of (mean n(x, y)·n(x − 1, y))² + (mean n(x, y)·n(x, y − 1))²

    A scale has 2 × 2 positions of the last one for one, twice their mean, which keeps the variance of white noise; the
    last scale has 8 pixels or fewer. The map is closed to a torus.

    Source: Karras et al. 2020 (arXiv:1912.04958), app. D.
    """
    total = n.new_zeros(len(n))
    while True:
        for axis in (2, 3):
            total = total + (n * n.roll(1, axis)).mean((1, 2, 3)).square()
        if min(n.shape[2:]) <= COARSEST:
            return total
        n = 2 * F.avg_pool2d(n, 2)
