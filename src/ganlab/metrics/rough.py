"""Rough squared distances between two sets of features, with bounds that the exact ones cannot leave.

|x|^2 + |y|^2 - 2 x.y of all pairs is one matrix product, and costs what a product of its numbers costs. It is asked
which pairs *may* be near; those few are looked at again by `ganlab.metrics.neighbours`, in float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

GROUP = 16  # columns of which only the smallest distance is looked at first
_TERMS = 256  # of one product: a longer sum is one of several products, and its rounding errors are smaller
FAR = 1e30  # of columns that are none, and of a point to itself


class Cloud:
    """Points (N, D), float32 on a device, and the same moved so that ``centre`` is the origin.

    Args:
        points: As they are.
        centre: (D,), float32.
    """

    def __init__(self, points: Tensor, centre: Tensor) -> None:
        self.exact, self.centre = points, centre
        self.moved = points - centre
        # in pieces that fit a processor's cache
        self.squares = torch.cat([part.double().square_().sum(1).float() for part in self.moved.split(256)])

    def __len__(self) -> int:
        return len(self.exact)

    def unit(self, dtype: torch.dtype) -> float:
        """u such that |x|^2 + |y|^2 - 2 x.y is within u (|x|^2 + |y|^2).

        A sum of n products in any order is within n eps / 2 of the exact one, relative to the sum of their sizes
        (Higham 2002, equation 3.5), which is at most 2 (|x|^2 + |y|^2); m such sums add up within (n + m) eps / 2.
        The centring adds 2 eps, the squares eps / 2; the rest is for the bounds' own rounding."""
        terms = self.exact.shape[1] + 2
        return (min(terms, _TERMS) + -(-terms // _TERMS) + 8) * torch.finfo(dtype).eps


def clouds(*sets: Tensor) -> list[Cloud]:
    """Sets that are to be compared, around a common centre."""
    centre = sets[0].mean(0)
    return [Cloud(points, centre) for points in sets]


def add_products(left: Tensor, right: Tensor, out: Tensor) -> None:
    """left (N, T) @ right (M, T)^T into ``out``, in sums of few terms; see `Cloud.unit`."""
    (first, *lefts), (other, *rights) = left.split(_TERMS, 1), right.split(_TERMS, 1)
    torch.mm(first, other.T, out=out)
    for some, others in zip(lefts, rights, strict=True):
        out.addmm_(some, others.T)


class Rough:
    """Rough squared distances from blocks of rows to all columns, by products of floating point numbers.

    The matrix of a block has its columns in an order of its own, in which groups are of columns with like ``keys``.

    Args:
        rows: Points of the rows.
        columns: Points of the columns.
        keys: (M,): columns with like keys come into one group.
        group: Columns of a group.
        number: Type of the products.

    Attributes:
        values: The block's matrix (b, W).
        groups: W / group; group g holds the columns g, g + groups, ...
        places: (W,): which point a column is, -1 for a column that is none.
    """

    def __init__(
        self, rows: Cloud, columns: Cloud, keys: Tensor, group: int = GROUP, number: torch.dtype = torch.float32
    ) -> None:
        self.rows, self.columns, self.group, self.number = rows, columns, group, number
        count, device = len(columns), columns.exact.device
        self.groups = -(-count // group)
        none = torch.full((self.groups * group - count,), -1, device=device)
        self.places = torch.cat([keys.argsort().to(device), none]).view(self.groups, group).T.flatten()
        real = self.places >= 0
        self.column_of = torch.empty(count, dtype=torch.int64, device=device)
        self.column_of[self.places[real]] = real.nonzero()[:, 0]
        y, squares = (part[self.places] for part in self._moved(columns, slice(None)))
        y[~real], squares[~real] = 0, FAR
        self.right = torch.cat([torch.ones_like(squares), squares, y], 1)
        self.largest = columns.squares.max()
        self.start, self.values = 0, torch.empty(0)
        self.within_group = self.groups * torch.arange(group, device=device)

    def look(self, start: int, stop: int, same: bool) -> None:
        """Make the matrix of the rows [start, stop); a point is far from itself if both sets are the ``same``."""
        self.start = start
        width = self.groups * self.group
        if self.values.shape != (stop - start, width):  # kept from block to block: fresh memory costs more than sums
            self.values = torch.empty(stop - start, width, dtype=self.number, device=self.columns.exact.device)
        x, squares = self._moved(self.rows, slice(start, stop))
        add_products(torch.cat([squares, torch.ones_like(squares), -2 * x], 1), self.right, self.values)
        if same:
            own = self.column_of[start:stop]
            self.values[torch.arange(len(own), device=own.device), own] = FAR

    def group_bounds(self) -> tuple[Tensor, Tensor]:
        """Bounds (b, groups) of the smallest squared distance of each group."""
        smallest = self.values.view(len(self.values), self.group, self.groups).amin(1)
        return self._bounds(smallest, torch.arange(len(smallest), device=smallest.device)[:, None], self.largest)

    def pairs(self, row: Tensor, group: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The columns (n, group) of groups (n,) of rows (n,), and bounds of their squared distances."""
        column = group[:, None] + self.within_group
        values = self.values.view(-1)[row[:, None] * self.values.shape[1] + column]
        return column, *self._bounds(values, row[:, None], self.columns.squares[self.places[column]])

    def errors(self) -> tuple[Tensor, Tensor]:
        """What each row (b, 1) and each column (W,) adds to how far a squared distance may be off."""
        rows, unit = slice(self.start, self.start + len(self.values)), self.rows.unit(self.number)
        of_columns = torch.where(self.places < 0, 0, self.columns.squares[self.places])
        return unit * self.rows.squares[rows, None], unit * of_columns

    def _bounds(self, values: Tensor, row: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        error = self.rows.unit(self.number) * (self.rows.squares[self.start + row] + other)
        return values - error, values + error

    def _moved(self, cloud: Cloud, rows: slice) -> tuple[Tensor, Tensor]:
        """Points (b, D) around the centre and their squared norms (b, 1)."""
        if self.number == torch.float64:
            moved = cloud.exact[rows].double() - cloud.centre.double()
            return moved, moved.square().sum(1, keepdim=True)
        return cloud.moved[rows], cloud.squares[rows, None]
