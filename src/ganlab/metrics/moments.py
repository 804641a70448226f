"""Mean and covariance of a stream in one pass, in float64, with memory that does not depend on its length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganlab.metrics.contract import Accumulator, Batch, Stream, Summary, Tensors


@dataclass(frozen=True)
class Moments(Summary):
    """Count, mean and scatter M = sum (x - mean)(x - mean)^T of consecutive blocks of features.

    Batches are merged by the pairwise update of Chan, Golub & LeVeque (1983): with d the difference
    of the means, M <- M_a + M_b + d d^T n_a n_b / (n_a + n_b). It does not lose digits where the mean is
    large beside the spread.

    Keeps ``count`` (B,), ``mean`` (B, D), ``scatter`` (B, D, D), float64. Block b holds the images
    [b N / B, (b + 1) N / B) of the stream, so a block is the same images however many ranks there are.

    Args:
        blocks: B, for a jackknife that leaves out one block at a time; 1: none.
    """

    features: ClassVar[bool] = True

    blocks: int = 1

    def begin(self, stream: Stream) -> Accumulator:
        return _Moments(self.blocks, stream)

    def merge(self, parts: Sequence[Tensors]) -> Tensors:
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


def _empty(groups: int, dim: int, device: torch.device | str = "cpu") -> Tensors:
    return {
        "count": torch.zeros(groups, dtype=torch.float64, device=device),
        "mean": torch.zeros(groups, dim, dtype=torch.float64, device=device),
        "scatter": torch.zeros(groups, dim, dim, dtype=torch.float64, device=device),
    }


def _add(kept: Tensors, group: int, rows: Tensor) -> None:
    """Merge ``rows`` (n, D), not empty, into one group."""
    rows = rows.double()
    count, added = kept["count"][group], len(rows)
    mean = rows.mean(0)
    centred = rows - mean
    kept["scatter"][group].addmm_(centred.T, centred)
    offset = mean - kept["mean"][group]
    # count stays on the device: no wait for it
    kept["scatter"][group] += torch.outer(offset, offset) * (count * added / (count + added))
    kept["mean"][group] += offset * (added / (count + added))
    count += added


class _Moments(Accumulator):
    def __init__(self, blocks: int, stream: Stream) -> None:
        self.edges = [b * stream.count // blocks for b in range(blocks + 1)]
        self.dim = stream.feature_dim
        self.kept: Tensors = {}

    def update(self, batch: Batch) -> None:
        assert batch.features is not None
        if not self.kept:
            self.kept = _empty(len(self.edges) - 1, self.dim, _where_float64_is(batch.features))
        features = batch.features.to(self.kept["count"].device)
        for block, (low, high) in enumerate(zip(self.edges, self.edges[1:], strict=False)):
            rows = features[max(low - batch.start, 0) : max(high - batch.start, 0)]
            if len(rows):
                _add(self.kept, block, rows)

    def tensors(self) -> Tensors:
        return self.kept or _empty(len(self.edges) - 1, self.dim)


class _ClassMoments(Accumulator):
    def __init__(self, stream: Stream) -> None:
        self.classes, self.dim = stream.num_classes, stream.feature_dim
        self.kept: Tensors = {}

    def update(self, batch: Batch) -> None:
        assert batch.features is not None
        assert batch.labels is not None
        if not self.kept:
            self.kept = _empty(self.classes, self.dim, _where_float64_is(batch.features))
        features = batch.features.to(self.kept["count"].device)
        # which classes a batch has decides the work, so the labels are read here
        for label in batch.labels.unique().tolist():
            _add(self.kept, label, features[batch.labels.to(features.device) == label])

    def tensors(self) -> Tensors:
        return self.kept or _empty(self.classes, self.dim)


def _where_float64_is(like: Tensor) -> torch.device:
    return torch.device("cpu") if like.device.type == "mps" else like.device
