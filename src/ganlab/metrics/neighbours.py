"""Distances between two sets of features in blocks: exact as in float64, at the speed of float32."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 256  # rows of one block: 4 BLOCK N bytes a matrix, which near to fits a processor's cache


class Cloud:
    """Points (N, D), float32 on the device, moved so that ``centre`` is the origin.

    Squared distances |x|^2 + |y|^2 - 2 x.y are one matrix product in float32 with its rounding error bounded;
    whatever lies within the bound of what it is compared with is computed again in float64 from the
    differences, so ties are ties and copies are at distance 0.
    """

    def __init__(self, points: Tensor, centre: Tensor) -> None:
        self.exact = points
        moved = (points.double() - centre.double()).float()
        self.squares = moved.square().sum(1)
        one = torch.ones_like(self.squares)
        self.left = torch.cat([-2 * moved, self.squares[:, None], one[:, None]], 1)
        self.right = torch.cat([moved, one[:, None], self.squares[:, None]], 1)
        # a sum of D products in any order is within D u sum |x_i y_i| of the exact one; 4: the centring, and a margin
        self.unit = 4 * (points.shape[1] + 6) * torch.finfo(torch.float32).eps / 2

    def __len__(self) -> int:
        return len(self.exact)


def clouds(*sets: Tensor) -> list[Cloud]:
    """Sets that are to be compared, around a common centre."""
    centre = sets[0].double().mean(0)
    return [Cloud(points, centre) for points in sets]


def blocks(rows: Cloud, columns: Cloud) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(first row, squared distances (b, M), largest error (b, 1)) in float32."""
    largest = columns.squares.max()
    for start in range(0, len(rows), BLOCK):
        squared = rows.left[start : start + BLOCK] @ columns.right.T
        yield start, squared, rows.unit * (rows.squares[start : start + BLOCK, None] + largest)


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
    for start, squared, error in blocks(rows, columns):
        if same:
            squared[:, start : start + len(squared)].fill_diagonal_(float("inf"))
        spare = min(wanted + 4, len(columns) - same)
        rough, found = smallest(squared, spare)
        exact = squared_distances(rows.exact[start : start + len(squared), None], columns.exact[found])
        order = exact.argsort(dim=1, stable=True)[:, :wanted]
        exact, found = exact.gather(1, order), found.gather(1, order)
        # could a point beyond the spare ones be nearer than the last wanted one?
        unsure = rough[:, -1].double() - error[:, 0] <= exact[:, -1]
        if spare < len(columns) - same and bool(unsure.any()):
            for row in unsure.nonzero()[:, 0].tolist():
                everything = squared_distances(rows.exact[start + row], columns.exact)
                if same:
                    everything[start + row] = float("inf")
                exact[row], found[row] = everything.topk(wanted, largest=False)
        distances.append(exact)
        places.append(found)
    return torch.cat(distances), torch.cat(places)


def smallest(values: Tensor, count: int, group: int = 16) -> tuple[Tensor, Tensor]:
    """``values.topk(count, largest=False)`` of each row, some three times as fast on a CPU.

    The ``count`` smallest of a row lie in the ``count`` groups of columns with the smallest minima (an element
    of another group is larger than ``count`` minima), so only those are looked into.
    """
    rows, columns = values.shape
    groups = columns // group
    if groups <= 2 * count:
        return values.topk(count, largest=False)
    even = values[:, : groups * group].unflatten(1, (group, groups))  # group g: columns g, g + groups, ...
    kept = even.amin(1).topk(count, largest=False, sorted=False).indices
    places = kept[:, None] + groups * torch.arange(group, device=values.device)[:, None]  # (rows, group, count)
    rest = torch.arange(groups * group, columns, device=values.device).expand(rows, -1)
    places = torch.cat([places.flatten(1), rest], 1)
    found, order = values.gather(1, places).topk(count, largest=False)
    return found, places.gather(1, order)


class Pairs:
    """Pairs of a block of rows with all columns, those that are about as near as a limit allows.

    Args:
        rows: Points of the rows.
        columns: Points of the columns.
        start: First row of the block.
        squared: Its rough squared distances (b, M).
        error: Their largest errors (b, 1).
        limits: Squared limits, float64: (b, 1) or (1, M) each; a pair is kept if any of them may hold it.
    """

    def __init__(
        self, rows: Cloud, columns: Cloud, start: int, squared: Tensor, error: Tensor, limits: list[Tensor]
    ) -> None:
        self.rows, self.columns, self.start = rows, columns, start
        largest: Tensor | None = None
        for limit in limits:  # a limit of each column takes the block's largest error: no matrix of bounds
            bound = (limit + self._slack(limit, error if limit.shape[1] == 1 else error.max())).to(squared.dtype)
            largest = bound if largest is None else torch.maximum(largest, bound)
        assert largest is not None
        self.row, self.column = (squared <= largest).nonzero(as_tuple=True)
        self.squared = squared[self.row, self.column].double()
        self.error, self.shape = error, squared.shape

    def within(self, limits: Tensor, inclusive: bool) -> Tensor:
        """Which pairs are nearer than their limit (or as near); those within the error are decided in float64."""
        limit = limits.expand(self.shape)[self.row, self.column]
        slack = self._slack(limit, self.error[self.row, 0])
        within = self.squared < limit - slack
        unsure = ((self.squared <= limit + slack) & ~within).nonzero()[:, 0]
        for some in unsure.split(max(1, 2**24 // self.rows.exact.shape[1])):
            exact = squared_distances(
                self.rows.exact[self.start + self.row[some]], self.columns.exact[self.column[some]]
            )
            within[some] = exact <= limit[some] if inclusive else exact < limit[some]
        return within

    @staticmethod
    def _slack(limit: Tensor, error: Tensor) -> Tensor:
        """The error of a distance, and of rounding the limit to float32."""
        return error.double() + limit * torch.finfo(torch.float32).eps
