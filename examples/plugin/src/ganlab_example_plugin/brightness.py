"""The brightness of images, a metric with a figure of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganlab.contracts import Accumulator, Batch, Chart, Context, Kept, Line, Metric, Role, Score, Stream, Summary, Value


@dataclass(frozen=True)
class Histogram(Summary):
    """``count`` (bins,) float64: images by their mean brightness, from black to white.

    Args:
        bins: Equal parts of the range.
    """

    bins: int

    def begin(self, stream: Stream) -> Accumulator:
        return _Histogram(self.bins)

    def merge(self, parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {"count": torch.stack([part["count"] for part in parts]).sum(0)}


class _Histogram(Accumulator):
    def __init__(self, bins: int) -> None:
        self.count = torch.zeros(bins, dtype=torch.float64)

    def update(self, batch: Batch) -> None:
        mean = batch.images.double().mean((1, 2, 3)).cpu() / 255
        place = (mean * len(self.count)).long().clamp(max=len(self.count) - 1)
        self.count += place.bincount(minlength=len(self.count))

    def tensors(self) -> dict[str, Tensor]:
        return {"count": self.count}


class Brightness(Metric):
    """Wasserstein distance between the brightness of generated and of real images, in shares of the whole range.

    W = sum over bins of |F_generated - F_real| / bins, F the share of images up to a bin.

    Args:
        bins: Of the histograms.

    Raises:
        ValueError: If ``bins`` is below 2.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "brightness": "How far the brightness of generated images is from that of real ones.",
    }

    def __init__(self, bins: int = 32) -> None:
        if bins < 2:
            raise ValueError(f"bins must be at least 2, got {bins}")
        self.bins = bins

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"histogram": Histogram(self.bins)}

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        counts = {"generated": kept["fake"]["histogram"]["count"], "real": kept["real"]["histogram"]["count"]}
        shares = {name: count / count.sum() for name, count in counts.items()}
        upto = {name: share.cumsum(0) for name, share in shares.items()}
        distance = float((upto["generated"] - upto["real"]).abs().sum()) / self.bins
        middles = [(place + 0.5) / self.bins for place in range(self.bins)]
        lines = [Line(name, list(zip(middles, (100 * share).tolist(), strict=True))) for name, share in shares.items()]
        chart = Chart("Brightness of images", "mean brightness (0: black, 1: white)", "% of images", lines)
        return Score({"brightness": Value(distance, better="lower")}, figures=[chart])
