"""Mean and covariance of a stream in one pass, in float64, with memory that does not depend on its length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganlab.contracts.metric import Accumulator, Batch, Stream, Summary, Tensors
from ganlab.metrics.stored import dealt, in_random_order

_ROWS = 2048  # merged at once: with fewer, passing over the scatter costs more than the product
_COLUMNS = 512  # of a piece of the scatter: above the diagonal pieces are not computed


@dataclass(frozen=True)
class Moments(Summary):
    """Count, mean and scatter M = sum (x - mean)(x - mean)^T of blocks of features.

    Batches are merged by the pairwise update of Chan, Golub & LeVeque (1983): with d the difference
    of the means, M <- M_a + M_b + d d^T n_a n_b / (n_a + n_b). It does not lose digits where the mean is
    large beside the spread.

    Keeps ``count`` (B,), ``mean`` (B, D), ``scatter`` (B, D, D), float64. Images are dealt to blocks at random, by
    their places in the stream: a block is the same images however many ranks there are, and blocks are alike where
    images come one class after the other.

    Args:
        blocks: B, for a jackknife that leaves out one block at a time; 1: none.
    """

    features: ClassVar[bool] = True

    blocks: int = 1

    def begin(self, stream: Stream) -> Accumulator:
        return _Moments(self.blocks, stream)

    def memory(self, stream: Stream) -> float:
        return in_random_order(stream) + 8.0 * self.blocks * (1 + stream.feature_dim + stream.feature_dim**2)

    def merge(self, parts: Sequence[Tensors]) -> Tensors:
        if len(parts) == 1:
            return parts[0]
        blocks = len(parts[0]["count"])
        return _stacked([combine([part_of(part, b) for part in parts]) for b in range(blocks)])


@dataclass(frozen=True)
class ClassMoments(Summary):
    """The same for each class: ``count`` (K,), ``mean`` (K, D), ``scatter`` (K, D, D), float64."""

    features: ClassVar[bool] = True
    labels: ClassVar[bool] = True

    def begin(self, stream: Stream) -> Accumulator:
        return _ClassMoments(stream)

    def merge(self, parts: Sequence[Tensors]) -> Tensors:
        return Moments.merge(Moments(), parts)


def part_of(blocks: Tensors, index: int) -> Tensors:
    """One block."""
    return {name: tensor[index] for name, tensor in blocks.items()}


def combine(parts: Sequence[Tensors]) -> Tensors:
    """Count, mean and scatter of the union of disjoint sets."""
    count = torch.stack([part["count"] for part in parts])
    means = torch.stack([part["mean"] for part in parts])
    total = count.sum()
    mean = (count[:, None] * means).sum(0) / total.clamp(min=1)
    offsets = (means - mean) * count.sqrt()[:, None]
    scatter = offsets.T @ offsets
    for part in parts:
        scatter += part["scatter"]
    return {"count": total, "mean": mean, "scatter": scatter}


def covariance(part: Tensors) -> Tensor:
    """Unbiased: scatter / (n - 1), as numpy.cov; zero for one image."""
    return part["scatter"] / (part["count"] - 1).clamp(min=1)


def _stacked(parts: Sequence[Tensors]) -> Tensors:
    return {name: torch.stack([part[name] for part in parts]) for name in parts[0]}


class _Groups:
    """Count, mean and scatter of groups of rows; of the scatter only what `tensors` mirrors is kept up to date."""

    def __init__(self, groups: int, dim: int, device: torch.device | str = "cpu") -> None:
        self.dim = dim
        self.count = torch.zeros(groups, dtype=torch.float64, device=device)
        self.mean = torch.zeros(groups, dim, dtype=torch.float64, device=device)
        self.scatter = torch.zeros(groups, dim, dim, dtype=torch.float64, device=device)

    def add(self, group: int, rows: Tensor) -> None:
        """Merge ``rows`` (n, D), not empty, into one group."""
        rows = rows.double()
        count, scatter = self.count[group], self.scatter[group]
        mean = rows.mean(0)
        offset = mean - self.mean[group]
        share = len(rows) / (count + len(rows))  # stays on the device: no wait for it
        # d d^T n_a n_b / (n_a + n_b) as a further row: no pass of its own over the scatter
        centred = torch.cat([rows - mean, (offset * (count * share).sqrt())[None]])
        for start in range(0, self.dim, _COLUMNS):
            part = centred[:, start : start + _COLUMNS]
            scatter[start:, start : start + _COLUMNS].addmm_(centred[:, start:].T, part)
        self.mean[group] += offset * share
        count += len(rows)

    def tensors(self) -> Tensors:
        for start in range(0, self.dim, _COLUMNS):
            stop = start + _COLUMNS
            self.scatter[:, start:stop, stop:] = self.scatter[:, stop:, start:stop].mT
        return {"count": self.count, "mean": self.mean, "scatter": self.scatter}


class _Collected(Accumulator):
    """Moments of groups. Rows are collected first, since a merge passes over a whole scatter.

    Args:
        groups: How many.
        dim: D.
    """

    def __init__(self, groups: int, dim: int) -> None:
        self.groups, self.dim = groups, dim
        self.kept: _Groups | None = None
        self.filled = 0

    def collect(self, features: Tensor, group: Tensor) -> None:
        """Take in features (n, D) and the group (n,) of each."""
        if self.kept is None:
            device = features.device
            self.kept = _Groups(self.groups, self.dim, device)
            self.rows = torch.empty(_ROWS, self.dim, device=device)
            self.group = torch.empty(_ROWS, dtype=torch.int64, device=device)
        taken = 0
        while taken < len(features):
            now = min(len(features) - taken, _ROWS - self.filled)
            self.rows[self.filled : self.filled + now] = features[taken : taken + now]
            self.group[self.filled : self.filled + now] = group[taken : taken + now]
            self.filled, taken = self.filled + now, taken + now
            if self.filled == _ROWS:
                self._merge(self.kept)

    def _merge(self, kept: _Groups) -> None:
        rows, group = self.rows[: self.filled], self.group[: self.filled]
        for index in group.unique().tolist():  # which groups there are decides the work: one wait for many rows
            kept.add(index, rows[group == index])
        self.filled = 0

    def tensors(self) -> Tensors:
        if self.kept is None:
            return _Groups(self.groups, self.dim).tensors()
        self._merge(self.kept)
        return self.kept.tensors()


class _Moments(_Collected):
    def __init__(self, blocks: int, stream: Stream) -> None:
        super().__init__(blocks, stream.feature_dim)
        self.block = dealt(stream, blocks)

    def update(self, batch: Batch) -> None:
        assert batch.features is not None
        self.collect(batch.features, self.block[batch.start : batch.start + len(batch)])


class _ClassMoments(_Collected):
    def __init__(self, stream: Stream) -> None:
        super().__init__(stream.num_classes, stream.feature_dim)

    def update(self, batch: Batch) -> None:
        assert batch.features is not None
        assert batch.labels is not None
        self.collect(batch.features, batch.labels)
