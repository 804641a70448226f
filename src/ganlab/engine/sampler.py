"""The order in which images are shown: a function of how many were shown before."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.core import randomness


class IndexedSampler:
    """An infinite stream of image indices in which every epoch is a permutation of its own.

    Position p of the stream lies in epoch p // size; the order within an epoch depends on (seed, epoch)
    alone. So a run that resumes at image p reads on where it stopped, there is no state to save, and
    a batch may straddle two epochs. Memory: the last two permutations, as a cache.

    Args:
        size: Number of images in the set.
        seed: The run's seed.

    Raises:
        ValueError: If ``size`` is not positive.
    """

    def __init__(self, size: int, seed: int) -> None:
        if size < 1:
            raise ValueError(f"a sampler needs at least one image, got size {size}")
        self.size = size
        self.seed = seed
        self._recent: dict[int, Tensor] = {}

    def indices(self, start: int, count: int) -> Tensor:
        """Indices at positions start, ..., start + count - 1 of the stream, int64 ``(count,)``."""
        if start < 0 or count < 0:
            raise ValueError(f"start and count must not be negative, got {start} and {count}")
        pieces = []
        while count > 0:
            epoch, offset = divmod(start, self.size)
            piece = self._epoch(epoch)[offset : offset + count]
            pieces.append(piece)
            start += len(piece)
            count -= len(piece)
        return torch.cat(pieces) if pieces else torch.empty(0, dtype=torch.int64)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._recent:
            generator = randomness.generator("cpu", self.seed, "order", epoch)
            recent = [*self._recent.items(), (epoch, torch.randperm(self.size, generator=generator))]
            self._recent = dict(recent[-2:])
        return self._recent[epoch]
