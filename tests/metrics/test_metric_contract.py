"""Every metric gives one number for one stream, however it is cut into batches and ranks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ganlab import registry
from ganlab.metrics.contract import Context
from ganlab.testing.metrics import check_metric


def stream(seed: int, count: int, shift: float = 0.0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    features = torch.randn(count, 6, generator=generator) + labels[:, None] + shift
    return {
        "images": torch.randint(0, 256, (count, 1, 12, 12), generator=generator, dtype=torch.uint8),
        "labels": labels,
        "features": features,
        "logits": 2 * features[:, :3],
    }


@pytest.mark.parametrize("name", sorted(registry.names("metric")))
def test_a_score_depends_neither_on_batches_nor_on_ranks(name: str) -> None:
    metric = registry.load("metric", name)()
    if metric.needs_run:
        pytest.skip("it needs networks, and is tested with them")
    streams = {"fake": stream(0, 240, 0.3), "real": stream(1, 200), "train": stream(1, 200), "held_out": stream(2, 100)}
    images = {role: tensors["images"] for role, tensors in streams.items()}
    context = Context(class_names=("a", "b", "c"), own_classifier=True, images=lambda role, at: images[role][at])
    check_metric(metric, context, **{role: streams[role] for role in metric.roles})
