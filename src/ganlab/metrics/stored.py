"""Rows of a stream that are kept as they are: features, labels, small images; a stated number of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganlab.contracts.metric import Accumulator, Batch, Stream, Summary, Tensors
from ganlab.core import randomness


@dataclass(frozen=True)
class StoredFeatures(Summary):
    """Features of at most ``limit`` images, float32 (n, D), in the order of the stream.

    Keeps ``features``, ``places`` (n,) of the images in the stream, and ``labels`` (n,), -1 where there
    are none. Of a longer stream it keeps a random choice, which depends on the stream's seed alone.
    """

    features: ClassVar[bool] = True

    limit: int = 10_000

    def begin(self, stream: Stream) -> Accumulator:
        return _Rows(stream, self.limit, "features")

    def merge(self, parts: Sequence[Tensors]) -> Tensors:
        return in_order(parts)

    def memory(self, stream: Stream) -> float:
        return in_random_order(stream) + 4.0 * min(self.limit, stream.count) * stream.feature_dim


@dataclass(frozen=True)
class StoredImages(Summary):
    """At most ``limit`` images, uint8 (n, C, H, W), with ``places`` and ``labels``; otherwise as `StoredFeatures`."""

    limit: int = 1_000

    def begin(self, stream: Stream) -> Accumulator:
        return _Rows(stream, self.limit, "images")

    def merge(self, parts: Sequence[Tensors]) -> Tensors:
        return in_order(parts)

    def memory(self, stream: Stream) -> float:
        return in_random_order(stream) + float(min(self.limit, stream.count)) * math.prod(stream.image_shape)


def chosen(stream: Stream, limit: int) -> Tensor | None:
    """Return a mask (count,) of the images that are kept; None: all."""
    if stream.count <= limit:
        return None
    kept = torch.zeros(stream.count, dtype=torch.bool)
    generator = randomness.generator("cpu", stream.seed, "stored", stream.count)
    kept[torch.randperm(stream.count, generator=generator)[:limit]] = True
    return kept


def dealt(stream: Stream, blocks: int) -> Tensor:
    """Return the block (count,) int64 of each image. Blocks are equal in size but for one image.

    The choice is random, since a data set may have one class after the other. It depends on the stream's seed and
    length alone.
    """
    generator = randomness.generator("cpu", stream.seed, "blocks", stream.count)
    return torch.randperm(stream.count, generator=generator) % blocks


def in_random_order(stream: Stream) -> float:
    """Return the bytes of a random order of all images of a stream, which `chosen` and `dealt` make."""
    return 8.0 * stream.count


def in_order(parts: Sequence[Tensors]) -> Tensors:
    """Rows of all ranks in the order of the stream."""
    parts = [part for part in parts if part and len(part["places"])] or list(parts[:1])
    if len(parts) == 1:  # of one rank, in order as they are
        return parts[0]
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    order = joined["places"].argsort() if joined else None
    return {name: tensor[order] for name, tensor in joined.items()}


class _Rows(Accumulator):
    """One tensor of as many rows as may come, filled as they come. Joining a list of parts would take twice the
    memory."""

    def __init__(self, stream: Stream, limit: int, what: str) -> None:
        self.chosen, self.what = chosen(stream, limit), what
        self.most, self.count = min(limit, stream.count), 0
        self.rows: Tensors = {}

    def update(self, batch: Batch) -> None:
        places = torch.arange(batch.start, batch.start + len(batch))
        if self.chosen is not None:
            places = places[self.chosen[places]]
        if not len(places):
            return
        source: Tensor = getattr(batch, self.what)
        source = source.float() if self.what == "features" else source
        within = places - batch.start
        labels = torch.full((len(batch),), -1) if batch.labels is None else batch.labels.cpu()
        found = {self.what: source[within.to(source.device)], "places": places, "labels": labels[within]}
        if not self.rows:
            self.rows = {name: tensor.new_empty(self.most, *tensor.shape[1:]) for name, tensor in found.items()}
        for name, tensor in found.items():
            self.rows[name][self.count : self.count + len(places)] = tensor
        self.count += len(places)

    def tensors(self) -> Tensors:
        if self.count == self.most:
            return self.rows
        return {name: tensor[: self.count].clone() for name, tensor in self.rows.items()}
