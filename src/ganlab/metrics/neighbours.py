"""Nearest neighbours, and points within balls: blocks of squared distances, one float64 product each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

ELEMENTS = 2**22  # of one block: 32 MiB. Larger ones leave a processor's cache, smaller ones cost more calls
_CUDA_ELEMENTS = 2**25  # there a block must be large enough to keep all multiprocessors busy
_PAIRS = 2**20  # numbers of the pairs that are looked at again at a time


def nearest(rows: Tensor, columns: Tensor, count: int, same: bool = False) -> tuple[Tensor, Tensor]:
    """Return the ``count`` nearest of ``columns`` (M, D) to each of ``rows`` (N, D).

    Args:
        same: The two are one set, and no point is its own neighbour.

    Returns:
        Squared distances (N, count), float64 and ascending: 0 for copies, and the same for (y, x) as for (x, y).
        The places (N, count) of these points in ``columns``.
    """
    wanted = min(count, len(columns) - same)
    distances, places = [], []
    for start, block in _blocks(rows, columns, slack=0):
        if same:
            block.diagonal(start).fill_(torch.inf)
        near = block.topk(wanted, largest=False).indices  # (b, wanted)
        exact = _squared_distances(rows[start : start + len(near)], columns, near)
        exact, order = exact.sort(1)
        distances.append(exact)
        places.append(near.gather(1, order))
    return torch.cat(distances), torch.cat(places)


def radii(points: Tensor, count: int) -> Tensor:
    """Return the squared distance (N,), float64, of each point from its ``count``-th nearest other one."""
    return nearest(points, points, count, same=True)[0][:, -1]


@dataclass
class Balls:
    """Balls around rows (N,) and columns (M,), and the points of the other set within them.

    Attributes:
        held: (M,) float64: the number of rows whose balls hold a column.
        covering: (N,) int32: the number of columns in a row's ball.
        only: (N,) int32: the place of that column where it is one; -1 elsewhere.
        recalled: (N,) bool: whether any column's ball holds a row.
    """

    held: Tensor
    covering: Tensor
    only: Tensor
    recalled: Tensor


def balls(rows: Tensor, columns: Tensor, row_limits: Tensor, column_limits: Tensor, inclusive: bool) -> Balls:
    """Find the points of one set within the balls around those of the other.

    Args:
        rows, columns: (N, D) and (M, D).
        row_limits, column_limits: Squared radii (N,) and (M,), float64.
        inclusive: A point on the surface of a ball lies in it.
    """
    held = torch.zeros(len(columns), dtype=torch.float64, device=rows.device)
    covering = torch.zeros(len(rows), dtype=torch.int32, device=rows.device)
    only, recalled = torch.full_like(covering, -1), torch.zeros_like(covering, dtype=torch.bool)
    compare = torch.le if inclusive else torch.lt
    # a product rounds: a point that is within the rounding of a surface is taken to lie on it
    for start, block in _blocks(rows, columns, slack=-1 if inclusive else 1):
        part = slice(start, start + len(block))
        within = compare(block, row_limits[part, None])
        held += within.sum(0, dtype=torch.int32)
        torch.sum(within, 1, dtype=torch.int32, out=covering[part])
        single = (covering[part] == 1).nonzero()[:, 0]
        only[part][single] = within[single].nonzero()[:, 1].int()
        torch.any(compare(block, column_limits, out=within), 1, out=recalled[part])
    return Balls(held, covering, only, recalled)


def _blocks(rows: Tensor, columns: Tensor, slack: int) -> Iterator[tuple[int, Tensor]]:
    """The first row of each block, and its squared distances (b, M) in float64.

    |x - y|^2 = |x|^2 + |y|^2 - 2 x.y is one product of (x, |x|^2, 1) and (-2y, 1, |y|^2). Both sets are centred, so
    that these numbers are no larger than need be.

    Args:
        slack: 1 or -1: as much more or less as a distance may be off, (D + 4) eps (|x|^2 + |y|^2).
    """
    centre = columns.double().mean(0)
    share = 1 + slack * (columns.shape[1] + 4) * torch.finfo(torch.float64).eps
    right = columns.double() - centre
    squares = share * right.square().sum(1, keepdim=True)
    right = torch.cat([-2 * right, torch.ones_like(squares), squares], 1).T  # (D + 2, M)
    size = max(1, (ELEMENTS if rows.device.type == "cpu" else _CUDA_ELEMENTS) // len(columns))
    buffer = right.new_empty(min(size, len(rows)), len(columns))  # fresh memory for each block costs more than products
    for start in range(0, len(rows), size):
        left = rows[start : start + size].double() - centre
        squares = share * left.square().sum(1, keepdim=True)
        block = buffer[: len(left)]
        torch.mm(torch.cat([left, squares, torch.ones_like(squares)], 1), right, out=block)
        yield start, block


def _squared_distances(rows: Tensor, columns: Tensor, places: Tensor) -> Tensor:
    """|x_i - y_j|^2 (b, w) in float64 of the ``places`` (b, w) j of each row i, without the rounding of a product."""
    parts = max(1, _PAIRS // (places.shape[1] * rows.shape[1]))
    pairs = zip(rows.split(parts), places.split(parts), strict=True)
    return torch.cat([(x.double()[:, None] - columns[j].double()).square().sum(-1) for x, j in pairs])
