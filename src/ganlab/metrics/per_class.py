"""FID and Inception Score of each class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ganlab.contracts.figures import Table
from ganlab.contracts.metric import (
    Accumulator,
    Batch,
    Context,
    Kept,
    Metric,
    Role,
    Score,
    Stream,
    Summary,
    Tensors,
    Value,
)
from ganlab.core.checks import at_least
from ganlab.core.errors import GanlabError
from ganlab.metrics import intervals
from ganlab.metrics.frechet import Frechet
from ganlab.metrics.moments import ClassMoments, covariance, part_of
from ganlab.metrics.stored import StoredFeatures, dealt, in_random_order


@dataclass(frozen=True)
class ClassPredictions(Summary):
    """For each block of the stream and class that images were made for: ``count`` (B, K), ``p`` (B, K, L) = sum p and
    ``log`` (B, K) = sum p log p, float64.

    Where the extractor classifies nothing, L is 0.

    Args:
        blocks: B equal parts of the stream, to which its images are dealt at random.
    """

    labels: ClassVar[bool] = True

    blocks: int = 1

    def begin(self, stream: Stream) -> Accumulator:
        return _ClassPredictions(stream, self.blocks)

    def memory(self, stream: Stream) -> float:
        return in_random_order(stream) + 8.0 * self.blocks * max(1, stream.num_classes) * (2 + stream.logits_dim)

    def merge(self, parts: Sequence[Tensors]) -> Tensors:
        return {name: torch.stack([part[name] for part in parts]).sum(0) for name in parts[0]}


class _ClassPredictions(Accumulator):
    def __init__(self, stream: Stream, blocks: int) -> None:
        self.block = dealt(stream, blocks)
        shape = (blocks, stream.num_classes)
        shapes = {"count": shape, "p": (*shape, stream.logits_dim), "log": shape}
        self.kept = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}

    def update(self, batch: Batch) -> None:
        assert batch.labels is not None
        if batch.logits is None:
            return
        log_p = batch.logits.cpu().double().log_softmax(1)
        p, labels = log_p.exp(), batch.labels.cpu()
        row = self.block[batch.start : batch.start + len(batch)] * self.kept["count"].shape[1] + labels
        found = {"count": torch.ones_like(p[:, 0]), "p": p, "log": torch.where(p > 0, p * log_p, 0.0).sum(1)}
        for name, numbers in found.items():
            self.kept[name].flatten(0, 1).index_add_(0, row, numbers)  # (blocks · classes, ...)

    def tensors(self) -> Tensors:
        return self.kept


class PerClass(Metric):
    """FID and Inception Score of the images of each class, and their means over classes.

    ``per_class_fid`` is the intra-FID of Miyato & Koyama 2018 (arXiv:1802.05637), section 5: the mean over
    classes of the Fréchet distance between generated and real images of one class. The Inception Score
    of one class is low where its images are recognised: all of them are predicted to be the same.
    Where the classifier knows the data's classes, the share of images that are recognised as what they
    were made for is given too.

    Intervals are for another draw of the generated images, the real ones held fixed: of the FIDs by the influence of
    each stored image on its class's (the infinitesimal jackknife, Jaeckel 1972), of the rest by a jackknife over blocks
    of the stream. That of the worst class is of that class, as if it had been chosen beforehand.

    Memory is 16 K D^2 bytes, and 4 limit D: for many classes take features of few dimensions. More than ``gigabytes``
    is refused before the first image is made.

    Args:
        blocks: Blocks of the jackknife.
        limit: Generated images whose features are kept for the intervals of the FIDs.
        gigabytes: Of covariances, at most.

    Raises:
        ValueError: If ``blocks`` is below 2 or ``limit`` not positive.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "per_class_fid": "FID of each class by itself, averaged: are images of the class that was asked for?",
        "worst_class_fid": "FID of the class that is made worst.",
        "per_class_is": "How many kinds the classifier sees in one class; 1 where each image is seen as its class.",
        "recognised": "How surely the classifier sees the class that was asked for.",
    }

    def __init__(self, blocks: int = 10, limit: int = 10_000, gigabytes: float = 8.0) -> None:
        self.blocks, self.limit = at_least("blocks", blocks, 2), at_least("limit", limit, 1)
        self.gigabytes = gigabytes

    def prepare(self, fake: Stream, context: Context) -> None:
        needed = 16e-9 * fake.num_classes * fake.feature_dim**2
        if needed > self.gigabytes:
            raise GanlabError(
                f"per_class keeps covariances of {fake.num_classes:,} classes in {fake.feature_dim:,} feature "
                f"dimensions, {needed:,.1f} GB: take features of fewer dimensions, leave per_class out, or allow it by "
                f"per_class.gigabytes={math.ceil(needed)}."
            )

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        if role == "real":
            return {"moments": ClassMoments()}
        return {
            "moments": ClassMoments(),
            "predictions": ClassPredictions(self.blocks),
            "features": StoredFeatures(self.limit),
        }

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        fake, real = kept["fake"], kept["real"]
        rows: list[dict[str, Any]] = []
        errors: list[float] = []  # squared, of each FID
        short: dict[str, list[str]] = {"generated": [], "real": []}
        for label in range(fake.stream.num_classes):
            parts = [part_of(k["moments"], label) for k in (fake, real)]
            counts = [int(part["count"]) for part in parts]
            name = context.class_names[label] if label < len(context.class_names) else str(label)
            row: dict[str, Any] = {"class": name, "fake": counts[0], "real": counts[1]}
            if min(counts) >= 2:
                reference = Frechet(parts[1]["mean"], covariance(parts[1]), counts[1] - 1)
                stored = fake["features"]["features"][fake["features"]["labels"] == label]
                row["fid"], squared_error = with_error(reference, parts[0], stored)
                errors.append(squared_error)
            for count, names in zip(counts, short.values(), strict=True):
                if count <= fake.stream.feature_dim:
                    names.append(name)
            rows.append(row)
        values = {}
        distances = [row["fid"] for row in rows if "fid" in row]
        if not distances:
            raise GanlabError("per_class: no class has two real and two generated images; raise samples.")
        values["per_class_fid"] = _value(
            sum(distances) / len(distances), sum(errors) / len(errors) ** 2, "lower", "mean over classes"
        )
        worst = max(range(len(distances)), key=distances.__getitem__)
        values["worst_class_fid"] = _value(distances[worst], errors[worst], "lower")
        if fake.stream.logits_dim:
            values.update(self._predictions(fake["predictions"], rows, context))
        if short["generated"] == short["real"]:
            short = {"generated or real": short["real"]}
        warnings = [
            f"per_class: {len(names)} of {len(rows)} classes have no more {what} images than the "
            f"{fake.stream.feature_dim} feature dimensions, so their FID is mostly bias; take more of them, or "
            f"features of fewer dimensions."
            for what, names in short.items()
            if names
        ]
        return Score(values, {"classes": rows}, [_table(rows)], warnings)

    @staticmethod
    def _predictions(sums: Tensors, rows: list[dict[str, Any]], context: Context) -> dict[str, Value]:
        whole = {name: tensor.sum(0) for name, tensor in sums.items()}
        scores, found = _by_class(whole)
        for label, row in enumerate(rows):
            row["is"] = float(scores[label])
            if context.own_classifier:
                row["recognised"] = float(found[label])
        filled = whole["count"] > 0
        without = [_by_class({n: whole[n] - sums[n][b] for n in sums}, filled) for b in range(len(sums["count"]))]
        enough = bool((sums["count"].sum(1) > 0).all())
        values = {}

        def add(name: str, value: float, left_out: list[float], least: float, most: float, **more: Any) -> None:
            ends = intervals.within(intervals.jackknife(value, left_out), least, most) if enough else (None, None)
            values[name] = Value(value, *ends, **more)

        about, most = "mean over classes; 1 to the classes", float(sums["p"].shape[2])
        add("per_class_is", float(scores[filled].mean()), [float(s.mean()) for s, _ in without], 1.0, most, about=about)
        if context.own_classifier:
            about = "mean probability of the own class"
            own = [float(p.mean()) for _, p in without]
            add("recognised", float(found[filled].mean()), own, 0.0, 1.0, better="higher", about=about)
        return values


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table with a row for each class, without the columns that no class has."""
    names = {"fake": "generated", "real": "real", "fid": "FID", "is": "IS", "recognised": "recognised"}
    had = [key for key in names if any(key in row for row in rows)]
    cells = [[row["class"], *(row.get(key) for key in had)] for row in rows]
    return Table("Each class by itself", ["class", *(names[key] for key in had)], cells)


def with_error(reference: Frechet, part: Tensors, stored: Tensor) -> tuple[float, float]:
    """Return the distance of a class and its squared standard error: to first order the distance changes by
    -influence / (n - 1) and a constant when an image is left out."""
    count = int(part["count"])
    value, by_mean, by_covariance = reference.expanded(part["mean"], covariance(part), count - 1)
    if min(count - 1, len(stored)) < 2:
        return value, math.inf
    offsets = stored.to(by_mean) - part["mean"].to(by_mean)
    influence = offsets @ by_mean + count / (count - 2) * ((offsets @ by_covariance) * offsets).sum(1)
    return value, float(influence.var()) / count


def _by_class(sums: Tensors, chosen: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The Inception Score of each class, and the mean probability of the class itself."""
    mean = sums["p"] / sums["count"].clamp(min=1)[:, None]
    entropy = -torch.where(mean > 0, mean * mean.log(), 0.0).sum(1)
    scores = (sums["log"] / sums["count"].clamp(min=1) + entropy).clamp(min=0).exp()
    own = mean.diagonal() if mean.shape[0] == mean.shape[1] else torch.zeros_like(scores)
    chosen = torch.ones_like(scores, dtype=torch.bool) if chosen is None else chosen & (sums["count"] > 0)
    return scores[chosen], own[chosen]


def _value(value: float, squared_error: float, better: Literal["lower"], about: str = "") -> Value:
    if not math.isfinite(squared_error):
        return Value(value, better=better, about=about)
    half = intervals.NORMAL * math.sqrt(squared_error)
    return Value(value, max(0.0, value - half), value + half, better, about=about)
