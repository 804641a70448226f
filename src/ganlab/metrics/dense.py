"""All pairs of a block of rows and all columns: how many lie in balls by rough distances, and which are in doubt.

Every pass over the pairs counts here: there are few, over parts that stay in a processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ganlab.metrics.rough import Rough

_PART = 2**17  # pairs that are looked at together on a CPU

Pairs = tuple[Tensor, Tensor]  # rows of the block (n,) and columns (n,)


class Dense:
    """Balls around a block of rows and around all columns.

    Args:
        rough: The block's, looked at.
        of_rows: Squared radii (b, 1) float64.
        of_columns: Squared radii (W,) float64.
        weights: Of the rows, (b,) float64.

    Attributes:
        number: (b,): columns in a row's ball, as far as rough distances tell.
        sums: (W,): sum of the weights of the rows whose balls hold a column, as far as rough distances tell.
        recalled: (b,): whether a row surely lies in a column's ball.
        doubtful: Pairs of which it is not sure whether the column lies in the row's ball, and whether it was counted.
        open: Pairs of rows that are not surely recalled, and columns whose balls may hold them.
        left: How many pairs these are.
    """

    def __init__(self, rough: Rough, of_rows: Tensor, of_columns: Tensor, weights: Tensor) -> None:
        dtype, self.values = rough.number, rough.values
        self.rough = rough
        self.of_rows, self.weights = of_rows.to(dtype), weights.to(dtype)
        self.error_rows, self.error_columns = rough.errors()
        self.surely, self.maybe = (of_columns.to(dtype) + sign * self.error_columns for sign in (-1, 1))
        count, width = self.values.shape
        self.number, self.sums = self.values.new_zeros(count), self.values.new_zeros(width)
        self.recalled = torch.zeros(count, dtype=torch.bool, device=self.values.device)
        self.doubtful: list[tuple[Tensor, Tensor, Tensor]] = []
        self.open: list[Pairs] = []
        self.left = 0
        self.size = max(1, _PART // width) if self.values.device.type == "cpu" else count
        self.buffers = self.values.new_empty(2, min(self.size, count), width)

    def parts(self) -> Iterator[slice]:
        """Rows that are looked at together."""
        for start in range(0, len(self.values), self.size):
            yield slice(start, min(start + self.size, len(self.values)))

    def look(self, rows: slice) -> None:
        """Count the pairs of some rows."""
        values, error = self.values[rows], self.error_rows[rows]
        beyond, held = self.buffers[:, : len(values)]
        torch.sub(values, self.of_rows[rows], out=beyond)
        torch.lt(beyond, 0, out=held)
        torch.sum(held, 1, out=self.number[rows])
        self.sums.addmv_(held.T, self.weights[rows])  # whole numbers: exact
        row, column = self._small(beyond.abs_().sub_(self.error_columns), error)
        self.doubtful.append((rows.start + row, column, held[row, column]))

        nearest = torch.sub(values, self.surely, out=beyond).amin(1)
        recalled = torch.lt(nearest, -error[:, 0], out=self.recalled[rows])
        rest = (~recalled).nonzero()[:, 0]
        below = torch.sub(values[rest], self.maybe, out=beyond[: len(rest)])
        row, column = self._small(below, error[rest])
        self.open.append((rows.start + rest[row], column))
        self.left += len(self.doubtful[-1][0]) + len(row)

    def _small(self, values: Tensor, limits: Tensor) -> Pairs:
        """Pairs whose value is at most their row's limit, of groups of columns in which there are any."""
        smallest = values.view(len(values), self.rough.group, self.rough.groups).amin(1)
        row, group = (smallest <= limits).nonzero(as_tuple=True)
        column = group[:, None] + self.rough.within_group
        found = values[row[:, None], column] <= limits[row]
        return row[:, None].expand_as(found)[found], column[found]
