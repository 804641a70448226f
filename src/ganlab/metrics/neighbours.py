"""Nearest neighbours and balls around points: decided as by distances in float64, at the speed of rougher ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ganlab.metrics.rough import GROUP, Cloud, Rough, clouds

__all__ = ["Cloud", "Pairs", "clouds", "nearest", "pairs_within", "radii", "squared_distances"]

ELEMENTS = 2**20  # of one block's matrix, which near to fits a processor's cache
_CUDA_ELEMENTS = 2**25  # there a block must be large enough to keep all multiprocessors busy
_OPEN = 1 / 8  # share of groups that may be left open before the next level is worth its product
_SPARE = 2


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_i|^2 in float64, row by row; 0 for copies, and the same for (y, x)."""
    return (x.double() - y.double()).square().sum(-1)


def nearest(rows: Cloud, columns: Cloud, count: int, same: bool = False) -> tuple[Tensor, Tensor]:
    """The ``count`` nearest of ``columns`` to each of ``rows``: squared distances (N, count), float64 and ascending,
    and their places (N, count).

    Args:
        same: The two are one set, and no point is its own neighbour.
    """
    wanted = min(count, len(columns) - same)
    distances, places = [], []
    for near in _near(rows, columns, wanted, same):
        exact = near.decide(torch.zeros_like(near.low, dtype=torch.bool))
        found, order = exact.topk(wanted, largest=False)
        distances.append(found)
        places.append(near.places.gather(1, order))
    return torch.cat(distances), torch.cat(places)


def radii(cloud: Cloud, count: int) -> Tensor:
    """Squared distance (N,), float64, of each point from its ``count``-th nearest other one."""
    found = []
    for near in _near(cloud, cloud, count, True):
        # what is surely nearer than the count-th is not looked at again
        sure = near.high < near.low.kthvalue(count, dim=1, keepdim=True).values
        found.append(near.decide(sure).kthvalue(count, dim=1).values)
    return torch.cat(found)


def copies(points: Tensor) -> tuple[Tensor, Tensor]:
    """Of points (N, D): the group (N,) of each, equal points being one group, and its number (N,) among its group."""
    weights = torch.randint(2**62, points.shape[1:], generator=torch.Generator().manual_seed(0)).to(points.device)
    bits = (points + 0.0).contiguous().view(torch.int32)  # + 0.0: -0 is 0
    sums = torch.cat([(part * weights).sum(1) for part in bits.split(1024)])
    _, group, counts = sums.unique(return_inverse=True, return_counts=True)
    order = group.argsort(stable=True)
    number = torch.empty_like(group)
    number[order] = torch.arange(len(group), device=group.device) - (counts.cumsum(0) - counts)[group[order]]
    first = torch.empty_like(counts)
    first[group[number == 0]] = (number == 0).nonzero()[:, 0]
    if not torch.equal(points[number > 0], points[first[group[number > 0]]]):  # two different points of one sum
        return torch.arange(len(points), device=points.device), torch.zeros_like(group)
    return group, number


@dataclass
class Pairs:
    """Pairs (n,) of a row and a column, and whether each lies within the limits of the one and of the other."""

    row: Tensor
    column: Tensor
    within_row: Tensor
    within_column: Tensor


def pairs_within(
    rows: Cloud, columns: Cloud, row_limits: Tensor, column_limits: Tensor, inclusive: bool
) -> Iterator[Pairs]:
    """All pairs that are nearer than a limit, block by block.

    Args:
        row_limits: Squared distances (N,) float64.
        column_limits: Squared distances (M,) float64.
        inclusive: Pairs that are as near as the limit are within it.
    """
    group = GROUP if len(columns) >= 4 * GROUP else 1
    levels = _Levels(rows, columns, column_limits, group)
    for start, stop in levels.blocks():
        of_rows = row_limits[start:stop, None]
        for rough in levels:
            rough.look(start, stop, False)
            of_columns = torch.where(rough.places < 0, -torch.inf, column_limits[rough.places])
            largest = torch.maximum(of_rows, of_columns.view(group, -1).amax(0))
            open_groups = rough.group_bounds()[0] <= largest
            if levels.enough(open_groups):
                break
        row, group_of = open_groups.nonzero(as_tuple=True)
        column, low, high = rough.pairs(row, group_of)
        kept = low <= torch.maximum(of_rows[row], of_columns[column])
        row, column, low, high = row[:, None].expand_as(kept)[kept], column[kept], low[kept], high[kept]
        limits = of_rows[row, 0], of_columns[column]
        # only what neither is surely within nor surely beyond is looked at again
        again = torch.stack([(low <= limit) & (high >= limit) for limit in limits]).any(0).nonzero()[:, 0]
        place = rough.places[column]
        exact = high.double()
        exact[again] = _exact(rows, columns, start + row[again], place[again])
        within = [exact <= limit if inclusive else exact < limit for limit in limits]
        yield Pairs(start + row, place, *within)


@dataclass
class _Near:
    """Points among which are the nearest ones of each row of a block; (b, w), padded by infinite distances.

    Args:
        start: First row.
        places: Points of the columns.
        low, high: Bounds of their squared distances.
        wanted: How many nearest ones.
    """

    rows: Cloud
    columns: Cloud
    start: int
    wanted: int
    places: Tensor
    low: Tensor
    high: Tensor

    def decide(self, sure: Tensor) -> Tensor:
        """Squared distances (b, w) in float64, as far as the ``wanted`` smallest of a row depend on them; others, which
        are larger, are infinite, and those that are ``sure`` to be smaller are taken as they are."""
        exact = torch.where(sure, self.low.double(), torch.inf)
        limit = self.high.kthvalue(self.wanted, dim=1, keepdim=True).values
        todo = ~sure & (self.low <= limit) & (self.low < torch.inf)
        # among copies every distance is as small as the first few: those first
        order = self.high.masked_fill(sure, torch.inf).topk(
            min(self.wanted + _SPARE, self.high.shape[1]), largest=False
        )
        first = torch.zeros_like(todo).scatter_(1, order.indices, True) & todo
        self._fill(exact, first)
        limit = exact.kthvalue(self.wanted, dim=1, keepdim=True).values
        self._fill(exact, todo & ~first & (self.low < limit))
        return exact

    def _fill(self, exact: Tensor, which: Tensor) -> None:
        row, slot = which.nonzero(as_tuple=True)
        exact[row, slot] = _exact(self.rows, self.columns, self.start + row, self.places[row, slot])


def _exact(rows: Cloud, columns: Cloud, row: Tensor, place: Tensor) -> Tensor:
    """Squared distances (n,) of pairs, float64, a piece at a time that fits a processor's cache."""
    size = max(1, (2**15 if row.device.type == "cpu" else 2**24) // rows.exact.shape[1])
    pieces = zip(row.split(size), place.split(size), strict=True)
    found = [squared_distances(rows.exact[i], columns.exact[j]) for i, j in pieces]
    return torch.cat(found) if found else torch.empty(0, dtype=torch.float64, device=row.device)


class _Levels:
    """Ways to distances, the roughest first: one that leaves too much open is not taken again.

    Args:
        keys: (M,): columns with like keys come into one group.
        group: Columns of a group.
    """

    def __init__(self, rows: Cloud, columns: Cloud, keys: Tensor, group: int) -> None:
        device = rows.exact.device.type
        numbers = (torch.float32,) if device == "mps" else (torch.float32, torch.float64)
        self.makers = [partial(Rough, rows, columns, keys, group, number) for number in numbers]
        self.made: dict[int, Rough] = {}
        self.first, self.rows = 0, len(rows)
        # a product packs all columns anew for each block: more rows where there are more dimensions
        least = max(16, min(1024, rows.exact.shape[1] // 2))
        self.size = max(least, (ELEMENTS if device == "cpu" else _CUDA_ELEMENTS) // len(columns))

    def blocks(self) -> Iterator[tuple[int, int]]:
        """First and last row of each block."""
        for start in range(0, self.rows, self.size):
            yield start, min(start + self.size, self.rows)

    def __iter__(self) -> Iterator[Rough]:
        for level in range(self.first, len(self.makers)):
            if level not in self.made:
                self.made = {level: self.makers[level]()}  # those before it are not needed again
            yield self.made[level]

    def enough(self, open_groups: Tensor) -> bool:
        """Whether it is less work to look at the open groups than to take the next level."""
        if self.first + 1 < len(self.makers) and float(open_groups.float().mean()) > _OPEN:
            self.first += 1
            return False
        return True


def _near(rows: Cloud, columns: Cloud, wanted: int, same: bool) -> Iterator[_Near]:
    group = GROUP if len(columns) >= 2 * GROUP * (wanted + _SPARE) else 1
    levels = _Levels(rows, columns, torch.zeros(len(columns), device=rows.exact.device), group)
    for start, stop in levels.blocks():
        for rough in levels:
            rough.look(start, stop, same)
            low, high = rough.group_bounds()
            limit = high.topk(wanted, dim=1, largest=False).values[:, -1:]  # faster than kthvalue
            open_groups = low <= limit
            if levels.enough(open_groups):
                break
        row, group_of = open_groups.nonzero(as_tuple=True)
        column, low, high = rough.pairs(row, group_of)
        kept = low <= limit[row]
        row, column, low, high = row[:, None].expand_as(kept)[kept], column[kept], low[kept], high[kept]
        # a row of a matrix for each row of the block
        counts = torch.bincount(row, minlength=stop - start)
        slot = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
        shape = (stop - start, int(counts.max()))
        lows, highs = (torch.full(shape, torch.inf, dtype=low.dtype, device=row.device) for _ in range(2))
        places = torch.zeros(shape, dtype=torch.int64, device=row.device)
        lows[row, slot], highs[row, slot], places[row, slot] = low, high, rough.places[column]
        yield _Near(rows, columns, start, wanted, places, lows, highs)
