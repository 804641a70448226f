"""Candidates for nearest neighbours of points among themselves: a product of two blocks serves the points of both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganlab.metrics.rough import FAR, GROUP, Cloud, add_products

_COMPLETE = 1 / 2  # share of the first block's lists that must be complete for the others to be made


@dataclass
class Lists:
    """The points of smallest lower bounds for each of N points, itself not among them; ascending.

    Attributes:
        places: (N, w): which points.
        low, high: (N, w), float32: bounds of their squared distances.
        complete: (N,): whether the asked number of nearest points is surely in the list.
    """

    places: Tensor
    low: Tensor
    high: Tensor
    complete: Tensor


def lists(cloud: Cloud, count: int, spare: int, size: int) -> Lists | None:
    """Lists of ``count + spare`` points, in which the ``count`` nearest ones are; None if too few would be complete.

    Args:
        size: Rows of a block.
    """
    makes = _Lists(cloud, count + spare)
    size = -(-size // GROUP) * GROUP
    for start in range(0, makes.padded, size):
        stop = min(start + size, makes.padded)
        values = makes.look(start, stop)
        makes.take(slice(start, stop), values, values.unflatten(1, (GROUP, -1)).amin(1), start)
        if start == 0:
            first = makes.lists(min(stop, len(cloud)), count)
            if float(first.complete.float().mean()) < _COMPLETE:
                return None
        if stop < makes.padded:
            others = values[:, stop - start :]
            makes.take(slice(stop, makes.padded), others.T, others.unflatten(0, (GROUP, -1)).amin(0).T, start)
    return makes.lists(len(cloud), count)


class _Lists:
    """Lists that grow block by block.

    Args:
        cloud: The points; there are at least ``GROUP`` times ``width``.
        width: Of a list.
    """

    def __init__(self, cloud: Cloud, width: int) -> None:
        self.cloud, self.width = cloud, width
        self.unit = cloud.unit(torch.float32)
        self.padded = -(-len(cloud) // GROUP) * GROUP
        device, more = cloud.exact.device, self.padded - len(cloud)
        # |x|^2 less what a distance may be off makes the products lower bounds
        squares = torch.cat([cloud.squares * (1 - self.unit), torch.full((more,), FAR, device=device)])
        self.left = torch.stack([squares, torch.ones_like(squares)], 1)
        self.right = cloud.moved.new_zeros(self.padded, 2 + cloud.moved.shape[1])
        self.right[:, 0], self.right[:, 1], self.right[: len(cloud), 2:] = 1, squares, cloud.moved
        self.low = torch.full((self.padded, width), torch.inf, device=device)
        self.places = torch.zeros(self.padded, width, dtype=torch.int64, device=device)
        self.buffer = torch.empty(0, device=device)

    def look(self, start: int, stop: int) -> Tensor:
        """Lower bounds (b, W) of the squared distances of the points [start, stop) to those from ``start`` on."""
        shape = stop - start, self.padded - start
        if not len(self.buffer):  # kept from block to block: fresh memory costs more than sums
            self.buffer = self.low.new_empty(shape[0] * shape[1])
        values = self.buffer[: shape[0] * shape[1]].view(shape)
        left = torch.cat([self.left[start:stop], -2 * self.right[start:stop, 2:]], 1)
        add_products(left, self.right[start:], values)
        values.diagonal().fill_(FAR)
        return values

    def take(self, owners: slice, values: Tensor, smallest: Tensor, first: int) -> None:
        """Bring bounds (n, W), of the points from ``first`` on, into the lists of n owners; ``smallest`` (n, groups)
        are the smallest of places g, g + groups, ..."""
        groups = smallest.shape[1]
        limit = self.low[owners, -1]
        if groups >= self.width and first in (0, owners.start):  # else the limit is near enough
            limit = torch.minimum(limit, smallest.topk(self.width, dim=1, largest=False).values[:, -1])
        owner, group = (smallest <= limit[:, None]).nonzero(as_tuple=True)
        place = group[:, None] + groups * torch.arange(GROUP, device=values.device)
        found = values[owner[:, None], place]
        kept = found <= limit[owner, None]
        owner, place, found = owner[:, None].expand_as(kept)[kept], place[kept], found[kept]
        # a row of a matrix for each owner that has found some
        counts = owner.bincount(minlength=len(limit))
        slot = torch.arange(len(owner), device=owner.device) - (counts.cumsum(0) - counts)[owner]
        some = counts.nonzero()[:, 0]
        row = (counts > 0).cumsum(0)[owner] - 1
        lows = torch.full((len(some), self.width + int(counts.max())), torch.inf, device=values.device)
        places = torch.zeros(lows.shape, dtype=torch.int64, device=values.device)
        mine = owners.start + some
        lows[:, : self.width], places[:, : self.width] = self.low[mine], self.places[mine]
        lows[row, self.width + slot], places[row, self.width + slot] = found, first + place
        self.low[mine], order = lows.topk(self.width, dim=1, largest=False)
        self.places[mine] = places.gather(1, order)

    def lists(self, stop: int, count: int) -> Lists:
        """Those of the first points, as they are now."""
        low, places = self.low[:stop], self.places[:stop]
        squares = self.cloud.squares
        high = low + 2 * self.unit * (squares[:stop, None] + squares[places])
        return Lists(places, low, high, low[:, -1] > high.kthvalue(count, dim=1).values)
