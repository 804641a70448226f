"""The Inception Score as published, and the mutual information that it is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from ganlab.contracts.figures import Figure, Table
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
from ganlab.metrics import intervals
from ganlab.metrics.stored import in_random_order

SPREAD = (1, 2, 5, 10, 20)  # numbers of splits whose spread is shown
_MOST_PREDICTED = 10
_SPLITS = 10  # from so many on their own scatter gives the interval


@dataclass(frozen=True)
class Predictions(Summary):
    """Sums over class probabilities p(y|x) that every form of the Inception Score is a function of.

    Keeps, for each of ``cells`` equal parts of the stream, ``count`` (C,), ``p`` (C, K) = sum p and
    ``log`` (C,) = sum_x sum_y p log p; over the whole stream ``log2`` = sum_x (sum_y p log p)^2, ``log_p`` (K,)
    = sum_x p sum_y p log p, ``pp`` (K, K) = sum p p^T, and ``predicted`` (K,), how often a class was the
    most probable. All float64.

    Args:
        cells: Parts, so that every number of splits that divides it can be scored.
        shuffle: Whether images are dealt to the parts in random order, as torch-fidelity does.
        seed: Of that order.
    """

    logits: ClassVar[bool] = True

    cells: int = 20
    shuffle: bool = True
    seed: int = 2020

    def begin(self, stream: Stream) -> Accumulator:
        return _Predictions(self, stream)

    def memory(self, stream: Stream) -> float:
        return in_random_order(stream) + 8.0 * self.cells * (2 + stream.logits_dim)

    def merge(self, parts: Sequence[Tensors]) -> Tensors:
        return {name: torch.stack([part[name] for part in parts]).sum(0) for name in parts[0]}


class _Predictions(Accumulator):
    def __init__(self, summary: Predictions, stream: Stream) -> None:
        count, cells, classes = stream.count, summary.cells, stream.logits_dim
        edges = torch.tensor([c * count // cells for c in range(1, cells)])
        place = torch.arange(count)
        if summary.shuffle:  # numpy's old generator: the order that others use
            order = torch.from_numpy(np.random.RandomState(summary.seed).permutation(count))
            place[order] = torch.arange(count)
        self.cell = torch.bucketize(place, edges, right=True)
        shapes = {
            "count": (cells,), "p": (cells, classes), "log": (cells,),
            "log2": (), "log_p": (classes,), "pp": (classes, classes), "predicted": (classes,),
        }  # fmt: skip
        self.kept = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in shapes.items()}

    def update(self, batch: Batch) -> None:
        assert batch.logits is not None
        device = batch.logits.device
        if self.kept["log2"].device != device:
            self.kept = {name: tensor.to(device) for name, tensor in self.kept.items()}
        kept = self.kept
        log_p = batch.logits.double().log_softmax(1)
        p = log_p.exp()
        plogp = torch.where(p > 0, p * log_p, 0.0).sum(1)  # 0 log 0 = 0
        cell = self.cell[batch.start : batch.start + len(batch)].to(device)
        kept["count"].index_add_(0, cell, torch.ones_like(plogp))
        kept["p"].index_add_(0, cell, p)
        kept["log"].index_add_(0, cell, plogp)
        kept["log2"] += plogp.square().sum()
        kept["log_p"] += plogp @ p
        kept["pp"].addmm_(p.T, p)
        kept["predicted"].index_add_(0, p.argmax(1), torch.ones_like(plogp))

    def tensors(self) -> Tensors:
        return self.kept


class InceptionScore(Metric):
    """IS = exp(mean_x KL(p(y|x) || p(y))), mean and population deviation over splits; and its logarithm,
    the mutual information I(y; x) = H(y) - H(y|x) in nats, over all samples at once.

    IS lies between 1 and the number of classes. As published it is taken over ``splits`` parts of
    the samples, of which each estimates p(y) for itself: fewer samples in a part, lower score. The
    improved form is the mutual information without splits, with its standard error by the samples:
    the deviation of KL(p(y|x_i) || p(y)) over sqrt(n). H(y) and H(y|x) have theirs likewise, by the deviations of
    -sum_y p(y|x_i) log p(y) and of H(y|x_i). The interval of the published form is a jackknife over its splits, or,
    where they are fewer than ten, over blocks of the score without splits, as wide in proportion.

    A classifier that knows other classes than the data's own measures something else.

    Source: Salimans et al. 2016 (arXiv:1606.03498), section 4; Barratt & Sharma 2018, "A Note on the
    Inception Score" (arXiv:1801.01973), equations 10 and 12.

    Args:
        splits: Parts of the published form.
        blocks: Blocks of the jackknife where there are fewer than ten splits.
        shuffle: Whether samples are dealt to the parts in random order.
        seed: Of that order.

    Raises:
        ValueError: If ``splits`` is not positive or ``blocks`` is below 2.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "is": "How surely a classifier names each image, and how many names it gives; real images play no part.",
        "is_std": "How much the Inception Score differs between its splits.",
        "mutual_information": "The same as IS in nats: how much an image says about its class.",
        "h_y": "How evenly the classes are made; lower than of real images: kinds are missing.",
        "h_y_given_x": "How unsure the classifier is of each image; higher than of real images: they are unclear.",
    }

    def __init__(self, splits: int = 10, blocks: int = 20, shuffle: bool = True, seed: int = 2020) -> None:
        self.splits, self.blocks = at_least("splits", splits, 1), at_least("blocks", blocks, 2)
        self.summary = Predictions(math.lcm(*SPREAD, splits, blocks), shuffle, seed)

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"predictions": self.summary}

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        fake = kept["fake"]["predictions"]
        values, details = _values(fake, self.splits, self.blocks)
        warnings = []
        if "real" in kept:
            real, real_details = _values(kept["real"]["predictions"], self.splits, self.blocks)
            values = {
                name: Value(v.value, v.low, v.high, v.better, real[name].value, v.about) for name, v in values.items()
            }
            details["real"] = real_details
        if not context.own_classifier:
            warnings.append(
                "is: the classifier was trained on other data, so the score says how well it separates its own "
                "classes, not how these images look; take features=classifier where there are labels."
            )
        details["most_predicted"] = _most_predicted(fake, context)
        return Score(values, details, _tables(details), warnings)


def _tables(details: Mapping[str, Any]) -> list[Figure]:
    splits = [[str(number), found["mean"], found["std"]] for number, found in details["splits"].items()]
    shares = [[found["class"], f"{100 * found['share']:.1f} %"] for found in details["most_predicted"]]
    return [
        Table("Inception Score by number of splits", ["splits", "mean", "deviation"], splits),
        Table("Classes that are predicted most", ["class", "share"], shares),
    ]


def scores(sums: Tensors, splits: int) -> Tensor:
    """exp(mean KL) of each of ``splits`` parts, float64 (splits,); empty parts are left out."""
    count, p, log = (_grouped(sums[name], splits) for name in ("count", "p", "log"))
    filled = count > 0
    return _information(count[filled], p[filled], log[filled]).exp()


def information(sums: Tensors) -> tuple[float, float]:
    """I(y; x) in nats over all samples, and its standard error."""
    return _with_errors(sums)["mutual_information"]


def _with_errors(sums: Tensors) -> dict[str, tuple[float, float]]:
    """I(y; x), H(y) and H(y|x) in nats over all samples, and their standard errors: to first order each is the mean
    over samples of KL_i = sum p_i log p_i - p_i.log_mean, of -p_i.log_mean and of -sum p_i log p_i."""
    count, p, log = (sums[name].sum(0) for name in ("count", "p", "log"))
    log_mean = torch.where(p > 0, (p / count).log(), 0.0)
    inner, cross, outer = sums["log2"], sums["log_p"] @ log_mean, log_mean @ sums["pp"] @ log_mean
    found = {
        "mutual_information": (_information(count[None], p[None], log[None])[0], inner - 2 * cross + outer),
        "h_y": (_entropy(p / count), outer),
        "h_y_given_x": (-log / count, inner),
    }

    def error(value: Tensor, squares: Tensor) -> float:
        return float(((squares / count - value.square()).clamp(min=0) / (count - 1).clamp(min=1)).sqrt())

    return {name: (float(value), error(value, squares)) for name, (value, squares) in found.items()}


def _information(count: Tensor, p: Tensor, log: Tensor) -> Tensor:
    """H(y) - H(y|x) of each row; not negative beyond rounding."""
    mean = p / count[:, None]
    return (log / count + _entropy(mean)).clamp(min=0)


def _entropy(p: Tensor) -> Tensor:
    return -torch.where(p > 0, p * p.log(), 0.0).sum(-1)


def _grouped(cells: Tensor, groups: int) -> Tensor:
    return cells.view(groups, -1, *cells.shape[1:]).sum(1)  # (groups, ...)


def _values(sums: Tensors, splits: int, blocks: int) -> tuple[dict[str, Value], dict[str, Any]]:
    parts, classes = scores(sums, splits), sums["p"].shape[1]
    low, high = None, None
    if len(parts) >= _SPLITS:
        without = (parts.sum() - parts) / (len(parts) - 1)
        low, high = intervals.jackknife(float(parts.mean()), without.tolist())
    elif int(sums["count"].sum()) >= 2 * blocks:
        cells = [_grouped(sums[name], blocks) for name in ("count", "p", "log")]
        whole = [cell.sum(0, keepdim=True) for cell in cells]
        without = _information(*(w - cell for w, cell in zip(whole, cells, strict=True))).exp()
        in_proportion = without * parts.mean() / _information(*whole).exp()
        low, high = intervals.jackknife(float(parts.mean()), in_proportion.tolist())
    if low is not None and high is not None:
        low, high = max(1.0, low), min(float(classes), high)
    values = {
        "is": Value(float(parts.mean()), low, high, "higher", about=f"mean over {splits} splits"),
        "is_std": Value(float(parts.std(unbiased=False)), about=f"population deviation over {splits} splits"),
    }
    described: dict[str, tuple[Literal["higher", "real"], str]] = {
        "mutual_information": ("higher", "nats, no split"),
        "h_y": ("real", "entropy of the predicted classes, nats"),
        "h_y_given_x": ("real", "mean entropy of a prediction, nats"),
    }
    for name, (value, error) in _with_errors(sums).items():
        half = intervals.NORMAL * error
        better, about = described[name]
        values[name] = Value(value, max(0.0, value - half), min(math.log(classes), value + half), better, about=about)
    spread = {}
    for number in SPREAD:
        found = scores(sums, number)
        spread[number] = {"mean": float(found.mean()), "std": float(found.std(unbiased=False))}
    return values, {"splits": spread}


def _most_predicted(sums: Tensors, context: Context) -> list[dict[str, object]]:
    shares = sums["predicted"] / sums["predicted"].sum()
    top = shares.topk(min(_MOST_PREDICTED, len(shares)))
    names = context.class_names if context.own_classifier else ()
    return [
        {"class": names[i] if i < len(names) else str(i), "share": share}
        for share, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)
    ]
