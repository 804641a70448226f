"""Nearest neighbours and balls around points: decided as by distances in float64, at the speed of rougher ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ganlab.metrics import mutual
from ganlab.metrics.dense import Dense
from ganlab.metrics.rough import GROUP, Cloud, Rough, clouds

__all__ = ["Balls", "Cloud", "balls", "clouds", "nearest", "radii", "squared_distances"]

ELEMENTS = 2**22  # of one block's matrix: larger ones leave a processor's cache, smaller ones cost more calls
_CUDA_ELEMENTS = 2**25  # there a block must be large enough to keep all multiprocessors busy
_OPEN = 1 / 8  # share of groups that may be left open before all pairs are looked at, or the next level's product made
_DOUBTFUL = 1 / 32  # share of pairs that may be left in doubt before the next level is worth its product
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
    found = torch.zeros(len(cloud), dtype=torch.float64, device=cloud.exact.device)
    rest = torch.ones(len(cloud), dtype=torch.bool, device=cloud.exact.device)
    if len(cloud) >= 4 * GROUP * (count + _SPARE):
        lists = mutual.lists(cloud, count, _SPARE, _block_size(cloud, len(cloud)))
        if lists is not None:
            near = _Near(cloud, cloud, 0, count, lists.places, lists.low, lists.high)
            found, rest = near.radii(), ~lists.complete
    left = Cloud(cloud.exact[rest], cloud.centre)
    if len(left):  # the nearest point of all is the point itself
        found[rest] = torch.cat([near.radii() for near in _near(left, cloud, count + 1, False)])
    return found


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
class Balls:
    """What lies in balls around rows (N,) and columns (M,).

    Attributes:
        held: (M,) float64: sum of the weights of the rows whose balls hold a column.
        covering: The columns in a row's ball.
        recalled: (N,): whether any column's ball holds a row.
    """

    held: Tensor
    covering: Partners
    recalled: Tensor


class Partners:
    """How many columns each row has to do with, and which one if it is one; two and more are not told apart.

    Attributes:
        number: (N,) int64.
        place: (N,) int64, of the column where ``number`` is 1.
    """

    def __init__(self, count: int, device: torch.device) -> None:
        self.number, self.place = (torch.zeros(count, dtype=torch.int64, device=device) for _ in range(2))

    def add(self, row: Tensor, place: Tensor) -> None:
        """Pairs (n,)."""
        self.number += row.bincount(minlength=len(self.number))
        self.place.index_add_(0, row, place)

    def put(self, rows: slice, number: Tensor, single: Tensor, place: Tensor) -> None:
        """Numbers (b,) of some rows, and places (n,) of those of them (n,) whose number is 1."""
        self.number[rows] = number.long()
        self.place[rows][single] = place


def balls(
    rows: Cloud, columns: Cloud, row_limits: Tensor, column_limits: Tensor, inclusive: bool, weights: Tensor
) -> Balls:
    """Which points lie within the balls around others.

    Args:
        row_limits: Squared radii (N,) float64.
        column_limits: Squared radii (M,) float64.
        inclusive: A point on the surface of a ball lies in it.
        weights: Of the rows, (N,) float64.
    """
    device = rows.exact.device
    found = Balls(
        torch.zeros(len(columns), dtype=torch.float64, device=device),
        Partners(len(rows), device),
        torch.zeros(len(rows), dtype=torch.bool, device=device),
    )
    levels = _Levels(rows, columns, column_limits, GROUP if len(columns) >= 4 * GROUP else 1)
    for start, stop in levels.blocks():
        for rough in levels:
            rough.look(start, stop, False)
            block = _Block(rough, row_limits[start:stop, None], column_limits, inclusive)
            if block.add_few(found, weights) or block.add_all(found, weights, levels):
                break
    return found


class _Block:
    """Balls around a block of rows and around all columns, from rough distances.

    Args:
        rough: The block's, looked at.
        of_rows: Squared radii (b, 1) float64.
        column_limits: Squared radii (M,) float64.
        inclusive: A point on the surface of a ball lies in it.
    """

    def __init__(self, rough: Rough, of_rows: Tensor, column_limits: Tensor, inclusive: bool) -> None:
        self.rough, self.of_rows, self.inclusive = rough, of_rows, inclusive
        self.of_columns = torch.where(rough.places < 0, -torch.inf, column_limits[rough.places])
        self.rows = slice(rough.start, rough.start + len(of_rows))

    def add_few(self, found: Balls, weights: Tensor) -> bool:
        """Look at the groups of columns in which balls may meet, if these are few; whether they were."""
        rough, of_rows = self.rough, self.of_rows
        largest = torch.maximum(of_rows, self.of_columns.view(rough.group, -1).amax(0))
        open_groups = rough.group_bounds()[0] <= largest
        if float(open_groups.float().mean()) > _OPEN:
            return False
        row, group_of = open_groups.nonzero(as_tuple=True)
        column, low, high = rough.pairs(row, group_of)
        kept = low <= torch.maximum(of_rows[row], self.of_columns[column])
        row, column, low, high = row[:, None].expand_as(kept)[kept], column[kept], low[kept], high[kept]
        limits = of_rows[row, 0], self.of_columns[column]
        # only what neither is surely within nor surely beyond is looked at again
        again = torch.stack([(low <= limit) & (high >= limit) for limit in limits]).any(0).nonzero()[:, 0]
        exact = high.double()
        exact[again] = self._exact(row[again], column[again])
        within = [self._within(exact, limit) for limit in limits]
        self._hold(found, weights, row[within[0]], column[within[0]])
        found.recalled[rough.start + row[within[1]]] = True
        return True

    def add_all(self, found: Balls, weights: Tensor, levels: _Levels) -> bool:
        """Look at all pairs, if few of them are in doubt; whether few were."""
        rough = self.rough
        dense = Dense(rough, self.of_rows, self.of_columns, weights[self.rows])
        for rows in dense.parts():
            dense.look(rows)
            if not levels.enough(dense.left / rough.values.numel(), _DOUBTFUL):
                return False
        row, column, counted = (torch.cat(parts) for parts in zip(*dense.doubtful, strict=True))
        within = self._within(self._exact(row, column), self.of_rows[row, 0])
        amiss = within.to(counted) - counted
        dense.number.index_add_(0, row, amiss)
        dense.sums.index_add_(0, column, amiss * dense.weights[row])
        real = rough.places >= 0
        found.held[rough.places[real]] += dense.sums[real].double()
        single = (dense.number == 1).nonzero()[:, 0]  # the places of more are not asked for
        held = rough.values[single] < dense.of_rows[single]
        of_single = torch.isin(row, single)
        held[torch.searchsorted(single, row[of_single]), column[of_single]] = within[of_single]
        found.covering.put(self.rows, dense.number, single, rough.places[held.to(torch.uint8).argmax(1)])
        found.recalled[self.rows] = dense.recalled
        row, column = (torch.cat(parts) for parts in zip(*dense.open, strict=True))
        within = self._within(self._exact(row, column), self.of_columns[column])
        found.recalled[rough.start + row[within]] = True
        return True

    def _hold(self, found: Balls, weights: Tensor, row: Tensor, column: Tensor) -> None:
        place = self.rough.places[column]
        found.held += place.bincount(weights[self.rows][row], minlength=len(found.held))
        found.covering.add(self.rough.start + row, place)

    def _exact(self, row: Tensor, column: Tensor) -> Tensor:
        rough = self.rough
        return _exact(rough.rows, rough.columns, rough.start + row, rough.places[column])

    def _within(self, squared: Tensor, limit: Tensor) -> Tensor:
        return squared <= limit if self.inclusive else squared < limit


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

    def radii(self) -> Tensor:
        """Squared distance (b,), float64, of the last of the ``wanted`` ones."""
        # what is surely nearer is not looked at again
        sure = self.high < self.low.kthvalue(self.wanted, dim=1, keepdim=True).values
        return self.decide(sure).kthvalue(self.wanted, dim=1).values

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
        self.size = _block_size(rows, len(columns))

    def blocks(self) -> Iterator[tuple[int, int]]:
        """First and last row of each block."""
        for start in range(0, self.rows, self.size):
            yield start, min(start + self.size, self.rows)

    def __iter__(self) -> Iterator[Rough]:
        for level in range(self.first, len(self.makers)):
            if level not in self.made:
                self.made = {level: self.makers[level]()}  # those before it are not needed again
            yield self.made[level]

    def enough(self, left: float, limit: float) -> bool:
        """Whether it is less work to look again at what was ``left`` open, a share of all, than to take the next level:
        up to ``limit``, and always after the last one."""
        if self.first + 1 < len(self.makers) and left > limit:
            self.first += 1
            return False
        return True


def _block_size(rows: Cloud, columns: int) -> int:
    """Rows of a block."""
    # a product packs all columns anew for each block: more rows where there are more dimensions
    least = max(16, min(1024, rows.exact.shape[1] // 2))
    return max(least, (ELEMENTS if rows.exact.device.type == "cpu" else _CUDA_ELEMENTS) // columns)


def _near(rows: Cloud, columns: Cloud, wanted: int, same: bool) -> Iterator[_Near]:
    group = GROUP if len(columns) >= 2 * GROUP * (wanted + _SPARE) else 1
    levels = _Levels(rows, columns, torch.zeros(len(columns), device=rows.exact.device), group)
    for start, stop in levels.blocks():
        for rough in levels:
            rough.look(start, stop, same)
            low, high = rough.group_bounds()
            limit = high.topk(wanted, dim=1, largest=False).values[:, -1:]  # faster than kthvalue
            open_groups = low <= limit
            if levels.enough(float(open_groups.float().mean()), _OPEN):
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
