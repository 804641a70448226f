"""Draws whose means are expectations: the nodes of a quadrature in place of random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.stats import norm
from torch import Tensor

from ganlab.core.randomness import Distribution, Stream

LEVELS = 17  # nodes of one draw; a prime, so that the draws of 16 purposes are independent in pairs
PAIRS = LEVELS**2
_SHARES = (0.0, 5.0)  # of the cube, within which the stretch lies
_MOMENTS: dict[Distribution, tuple[float, float]] = {  # second and fourth about the mean
    "normal": (1.0, 3.0),
    "uniform": (1 / 12, 1 / 80),
}


class Quadrature(Stream):
    """Draws for a batch of `PAIRS` points, or a multiple of it, that are the same each time, in float64.

    The i-th of 17² points has in the k-th draw (one a purpose and column, in the order of their first use) the node
    (i // 17 + k · (i mod 17)) mod 17 (Bose's orthogonal array): each two draws take all pairs of nodes once. So a mean
    over the batch is the expectation over independent draws, exactly for polynomials up to the fifth degree in each of
    two draws. Larger batches repeat the points; draws of other sizes have the same nodes, in an order that depends on
    the purpose.

    Args:
        parts: The key of what is still random: a decision about the whole batch.
    """

    def __init__(self, *parts: int | str) -> None:
        super().__init__(*parts)
        self._columns = 1  # the first one is the reals'

    def draw(self, purpose: str, shape: Sequence[int], distribution: Distribution = "normal") -> Tensor:
        """Return float64 nodes of ``shape``."""
        size, *rest = shape
        columns = []
        for _ in range(int(np.prod(rest, dtype=int))):
            if size % PAIRS == 0:
                columns.append(column(self._columns, distribution).repeat(size // PAIRS))
                self._columns += 1
            else:
                order = torch.randperm(size, generator=self._generator(purpose))
                columns.append(nodes(size, distribution)[order])
        return torch.stack(columns, 1).reshape(tuple(shape)) if rest else columns[0]

    def draw_on_rank(self, purpose: str, shape: Sequence[int], distribution: Distribution = "normal") -> Tensor:
        """Return what `draw` does: there is one rank."""
        return self.draw(purpose, shape, distribution)


def column(k: int, distribution: Distribution) -> Tensor:
    """Return the nodes (PAIRS,) of the k-th draw; those of 0 are for real points."""
    i = torch.arange(PAIRS)
    return nodes(LEVELS, distribution)[(i // LEVELS + k * (i % LEVELS)) % LEVELS]


@cache
def nodes(count: int, distribution: Distribution) -> Tensor:
    """Return ``count`` nodes of equal weight, symmetric about the mean, float64.

    They are the quantiles of (i + 1/2) / count, stretched by an odd polynomial such that the moments up to the fifth
    are those of the distribution; of fewer than nine nodes those up to the third.
    """
    mean = 0.0 if distribution == "normal" else 0.5
    ranks = (np.arange(count) + 0.5) / count
    x = norm.ppf(ranks) if distribution == "normal" else ranks - mean
    second, fourth = _MOMENTS[distribution]
    if count < 2:
        return torch.full((count,), mean, dtype=torch.float64)
    x = x * np.sqrt(second / (x**2).mean())

    def stretched(share: float) -> np.ndarray:
        moved = x + share / second * x**3
        return moved * np.sqrt(second / (moved**2).mean())

    if count > 8:
        x = stretched(brentq(lambda share: (stretched(share) ** 4).mean() - fourth, *_SHARES, xtol=1e-15))
    return torch.from_numpy((x - x[::-1]) / 2 + mean)
