"""The sliced Wasserstein distance of points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from ganlab.contracts.metric import Context, Kept, Metric, Role, Score, Stream, Summary, Value
from ganlab.core import randomness
from ganlab.core.checks import at_least
from ganlab.metrics import intervals
from ganlab.metrics.stored import StoredImages


class SlicedWasserstein(Metric):
    """Sliced Wasserstein-1 distance of generated and real points.

    SW = mean over directions θ of W_1(θ·x, θ·y), W_1 = ∫ |F(t) - G(t)| dt

    F and G are the distribution functions of the projections, exact for any two numbers of points. In the plane the
    directions are evenly spread over half a turn; points with one coordinate have one direction, and SW is W_1. It is
    biased upwards: two draws of one distribution have a distance above 0, so compare at equal numbers of points.

    The interval is for another draw of the generated points, the real ones held fixed, by a jackknife over blocks.

    Source: Bonneel et al. 2015, "Sliced and Radon Wasserstein barycenters of measures", with W_1.

    Args:
        directions: Number of directions, at least 1.
        limit: Points of each stream that are looked at, at least 2.
        blocks: Blocks of the jackknife, at least 2.

    Raises:
        ValueError: If an option is out of range.
    """

    of_points = True
    meanings: ClassVar[Mapping[str, str]] = {
        "sliced_wasserstein": "How far samples would have to move to lie as real points do, on an average direction."
    }

    def __init__(self, directions: int = 64, limit: int = 5_000, blocks: int = 20) -> None:
        self.directions = at_least("directions", directions, 1)
        self.limit, self.blocks = at_least("limit", limit, 2), at_least("blocks", blocks, 2)

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"points": StoredImages(self.limit)}

    def memory(self, fake: Stream) -> float:
        return super().memory(fake) + 8.0 * self.directions * min(self.limit, fake.count)

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        fake, real = (kept[role]["points"]["images"].flatten(1).double() for role in ("fake", "real"))
        along = directions(fake.shape[1], self.directions).to(fake)
        x, y = (fake @ along).T.contiguous(), (real @ along).T.contiguous()  # (directions, points)
        value = float(wasserstein(x, y).mean())
        ends: tuple[float | None, float | None] = (None, None)
        if len(fake) >= self.blocks:
            block = torch.arange(len(fake), device=x.device) % self.blocks
            without = [float(wasserstein(x[:, block != b], y).mean()) for b in range(self.blocks)]
            ends = intervals.within(intervals.jackknife(value, without), 0.0)
        return Score({"sliced_wasserstein": Value(value, *ends, "lower", about="in units of the points")})


def directions(dimensions: int, count: int) -> Tensor:
    """Return unit vectors (D, count), float64: evenly spread in the plane, one on a line, else a random choice."""
    if dimensions == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    if dimensions == 2:
        angles = (torch.arange(count, dtype=torch.float64) + 0.5) * (math.pi / count)
        return torch.stack([angles.cos(), angles.sin()])
    random = randomness.generator("cpu", 0, "directions", dimensions, count)
    found = torch.randn(dimensions, count, generator=random, dtype=torch.float64)
    return found / found.norm(dim=0)


def wasserstein(x: Tensor, y: Tensor) -> Tensor:
    """Return W_1 (P,) of each row of numbers (P, N) and (P, M): ∫ |F(t) - G(t)| dt."""
    x, y = (z.contiguous().sort(1).values for z in (x, y))
    t = torch.cat([x, y], 1).sort(1).values
    below, above = t[:, :-1].contiguous(), t.diff(dim=1)
    f = torch.searchsorted(x, below, right=True).double() / x.shape[1]
    g = torch.searchsorted(y, below, right=True).double() / y.shape[1]
    return ((f - g).abs() * above).sum(1)
