"""Run a metric as the evaluation does, on streams made by a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ganlab.contracts.metric import Batch, Context, Kept, Metric, Score, Stream, Tensors


def keep(metric: Metric, role: str, tensors: Mapping[str, Tensor], batch: int = 64, ranks: int = 1) -> Kept:
    """Return what a metric keeps of a stream of ``images``, ``labels``, ``features`` and ``logits`` (any of them).

    Args:
        batch: Images of a batch.
        ranks: Batches are dealt to so many ranks, whose summaries are merged.
    """
    count = len(next(iter(tensors.values())))
    images = tensors.get("images", torch.zeros(count, 1, 1, 1, dtype=torch.uint8))
    labels = tensors.get("labels")
    stream = Stream(
        count,
        tensors["features"].shape[1] if "features" in tensors else 0,
        tensors["logits"].shape[1] if "logits" in tensors else 0,
        tuple(images.shape[1:]),  # type: ignore[arg-type]
        int(labels.max()) + 1 if labels is not None else 0,
    )
    kept: dict[str, Tensors] = {}
    for name, summary in metric.summaries(role).items():  # type: ignore[arg-type]
        parts = [summary.begin(stream) for _ in range(ranks)]
        for number, start in enumerate(range(0, count, batch)):
            rows = {key: tensor[start : start + batch] for key, tensor in {"images": images, **tensors}.items()}
            parts[number % ranks].update(Batch(start, **rows))
        kept[name] = summary.merge([part.tensors() for part in parts])
    return Kept(stream, kept)


def score(
    metric: Metric, context: Context | None = None, batch: int = 64, ranks: int = 1, **streams: Mapping[str, Tensor]
) -> Score:
    """``score(FID(), fake={"features": ...}, real={"features": ...})``."""
    kept = {role: keep(metric, role, tensors, batch, ranks) for role, tensors in streams.items()}
    context = context or Context()
    if "fake" in kept:
        metric.prepare(kept["fake"].stream, context)
    if metric.own_samples:
        starts = range(0, metric.own_samples, batch)
        own = [metric.measure(start, min(start + batch, metric.own_samples), context) for start in starts]
        context = replace(context, own=torch.cat(own))
    return metric.score(kept, context)  # type: ignore[arg-type]


def check_metric(metric: Metric, context: Context | None = None, **streams: Mapping[str, Tensor]) -> None:
    """Check that scores are finite, and depend neither on the size of batches nor on the number of ranks.

    Raises:
        AssertionError: If not.
    """
    first = score(metric, context, 64, 1, **streams)
    assert first.values, "a metric gives at least one number"
    for batch, ranks in ((17, 1), (64, 3)):
        other = score(metric, context, batch, ranks, **streams)
        for name, value in first.values.items():
            torch.testing.assert_close(other.values[name].value, value.value, rtol=1e-9, atol=1e-9)
            assert abs(value.value) < float("inf"), f"{name} is {value.value}"
            if value.low is not None and value.high is not None:
                assert value.low <= value.high
