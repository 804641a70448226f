"""The energy distance of points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from ganlab.contracts.metric import Context, Kept, Metric, Role, Score, Summary, Value
from ganlab.core.checks import at_least
from ganlab.metrics import intervals
from ganlab.metrics.stored import StoredImages

_ROWS = 500  # distances that are held at a time, times the number of points


class EnergyDistance(Metric):
    """Energy distance of generated and real points.

    2 E||x - y|| - E||x - x'|| - E||y - y'||, x and x' generated, y and y' real

    It is 0 for equal distributions alone. The estimate is the unbiased one (of pairs of two different points), so it
    may come out slightly below 0; scipy's ``energy_distance`` is the root of the same with pairs of a point with
    itself. It is a kernel MMD with the kernel -||x - y||.

    The interval is for another draw of the generated points, the real ones held fixed, by a jackknife over blocks.

    Source: Székely & Rizzo 2013, "Energy statistics: A class of statistics based on distances".

    Args:
        limit: Points of each stream that are looked at, at least 2; time and memory are of its square.
        blocks: Blocks of the jackknife, at least 2.

    Raises:
        ValueError: If an option is out of range.
    """

    of_points = True
    meanings: ClassVar[Mapping[str, str]] = {
        "energy_distance": "How far the distribution of samples is from that of real points: 0 if they are the same."
    }

    def __init__(self, limit: int = 5_000, blocks: int = 20) -> None:
        self.limit, self.blocks = at_least("limit", limit, 2), at_least("blocks", blocks, 2)

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"points": StoredImages(self.limit)}

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        fake, real = (kept[role]["points"]["images"].flatten(1).double() for role in ("fake", "real"))
        n, m = len(fake), len(real)
        blocks = min(self.blocks, n // 2)
        block = torch.arange(n, device=fake.device) % max(1, blocks)
        of_block = torch.bincount(block).double()
        across, within = between(fake, real, block).sum(1), between(fake, fake, block, block)  # (B,) and (B, B)
        of_real = float(between(real, real).sum()) / (m * (m - 1)) if m > 1 else 0.0

        def distance(count: float, to_real: float, to_fake: float) -> float:
            return 2 * to_real / (count * m) - to_fake / (count * (count - 1)) - of_real

        value = distance(n, float(across.sum()), float(within.sum()))
        ends: tuple[float | None, float | None] = (None, None)
        if blocks >= 2:
            others = within.sum() - within.sum(0) - within.sum(1) + within.diagonal()
            left = zip((n - of_block).tolist(), (across.sum() - across).tolist(), others.tolist(), strict=True)
            ends = intervals.jackknife(value, [distance(*each) for each in left])
        return Score({"energy_distance": Value(value, *ends, "lower", about="in units of the points")})


def between(x: Tensor, y: Tensor, x_block: Tensor | None = None, y_block: Tensor | None = None) -> Tensor:
    """Return sums of distances of points (N, D) and (M, D), by the blocks (N,) and (M,) that they belong to, float64.

    Without blocks all points are of block 0.
    """
    x_block = x_block if x_block is not None else torch.zeros(len(x), dtype=torch.int64, device=x.device)
    y_block = y_block if y_block is not None else torch.zeros(len(y), dtype=torch.int64, device=y.device)
    found = x.new_zeros(int(x_block.max()) + 1, int(y_block.max()) + 1, dtype=torch.float64)
    for start in range(0, len(x), _ROWS):
        rows = torch.cdist(x[start : start + _ROWS], y, compute_mode="donot_use_mm_for_euclid_dist")
        columns = rows.new_zeros(len(rows), found.shape[1]).index_add_(1, y_block, rows)
        found.index_add_(0, x_block[start : start + _ROWS], columns)
    return found
