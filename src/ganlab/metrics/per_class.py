"""FID and Inception Score of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ganlab.errors import GanlabError
from ganlab.metrics.contract import (
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
from ganlab.metrics.fid import distance
from ganlab.metrics.frechet import Frechet
from ganlab.metrics.moments import ClassMoments, covariance, part_of


@dataclass(frozen=True)
class ClassPredictions(Summary):
    """For each class that images were made for: ``count`` (K,), ``p`` (K, L) = sum p and ``log`` (K,) = sum p log p.

    Where the extractor classifies nothing, L is 0.
    """

    labels: ClassVar[bool] = True

    def begin(self, stream: Stream) -> Accumulator:
        return _ClassPredictions(stream)

    def merge(self, parts: Sequence[Tensors]) -> Tensors:
        return {name: torch.stack([part[name] for part in parts]).sum(0) for name in parts[0]}


class _ClassPredictions(Accumulator):
    def __init__(self, stream: Stream) -> None:
        shapes = {
            "count": (stream.num_classes,),
            "p": (stream.num_classes, stream.logits_dim),
            "log": (stream.num_classes,),
        }
        self.kept = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}

    def update(self, batch: Batch) -> None:
        assert batch.labels is not None
        if batch.logits is None:
            return
        log_p = batch.logits.cpu().double().log_softmax(1)
        p, labels = log_p.exp(), batch.labels.cpu()
        self.kept["count"].index_add_(0, labels, torch.ones(len(labels), dtype=torch.float64))
        self.kept["p"].index_add_(0, labels, p)
        self.kept["log"].index_add_(0, labels, torch.where(p > 0, p * log_p, 0.0).sum(1))

    def tensors(self) -> Tensors:
        return self.kept


class PerClass(Metric):
    """FID and Inception Score of the images of each class, and their means over classes.

    ``per_class_fid`` is the intra-FID of Miyato & Koyama 2018 (arXiv:1802.05637), section 5: the mean over
    classes of the Fréchet distance between generated and real images of one class. The Inception Score
    of one class is low where its images are recognised: all of them are predicted to be the same.
    Where the classifier knows the data's classes, the share of images that are recognised as what they
    were made for is given too.

    Memory is 16 K D^2 bytes: for many classes take features of few dimensions.
    """

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"moments": ClassMoments(), "predictions": ClassPredictions()}

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        fake, real = kept["fake"], kept["real"]
        rows: list[dict[str, Any]] = []
        short = []
        for label in range(fake.stream.num_classes):
            parts = [part_of(k["moments"], label) for k in (fake, real)]
            counts = [int(part["count"]) for part in parts]
            name = context.class_names[label] if label < len(context.class_names) else str(label)
            row: dict[str, Any] = {"class": name, "fake": counts[0], "real": counts[1]}
            if min(counts) >= 2:
                reference = Frechet(parts[1]["mean"], covariance(parts[1]), counts[1] - 1)
                row["fid"] = distance(reference, parts[0])
            if min(counts) <= fake.stream.feature_dim:
                short.append(name)
            rows.append(row)
        values = {}
        distances = [row["fid"] for row in rows if "fid" in row]
        if not distances:
            raise GanlabError("per_class: no class has two real and two generated images; raise samples.")
        values["per_class_fid"] = Value(sum(distances) / len(distances), better="lower", about="mean over classes")
        values["worst_class_fid"] = Value(max(distances), better="lower")
        if fake.stream.logits_dim:
            values.update(self._predictions(fake["predictions"], rows, context))
        warnings = []
        if short:
            warnings.append(
                f"per_class: {len(short)} of {len(rows)} classes have no more images than the "
                f"{fake.stream.feature_dim} feature dimensions, so their FID is mostly bias; take more samples "
                f"or features of fewer dimensions."
            )
        return Score(values, {"classes": rows}, warnings=warnings)

    @staticmethod
    def _predictions(sums: Tensors, rows: list[dict[str, Any]], context: Context) -> dict[str, Value]:
        mean = sums["p"] / sums["count"].clamp(min=1)[:, None]
        entropy = -torch.where(mean > 0, mean * mean.log(), 0.0).sum(1)
        scores = (sums["log"] / sums["count"].clamp(min=1) + entropy).clamp(min=0).exp()
        filled = sums["count"] > 0
        for label, row in enumerate(rows):
            row["is"] = float(scores[label])
            if context.own_classifier:
                row["recognised"] = float(mean[label, label])
        values = {"per_class_is": Value(float(scores[filled].mean()), about="mean over classes; 1 to the classes")}
        if context.own_classifier:
            found = mean.diagonal()[filled].mean()
            values["recognised"] = Value(float(found), better="higher", about="mean probability of the own class")
        return values
