"""Every metric gives one number for one stream, however it is cut into batches and ranks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ganlab.contracts.metric import Context
from ganlab.contracts.point_set import Modes
from ganlab.core import registry
from ganlab.testing.metrics import check_metric, score


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


def modes(images: Tensor) -> Modes:
    """Three of them, as points."""
    return Modes(images[:3].flatten(1).double(), 300.0)


@pytest.mark.parametrize("name", sorted(registry.names("metric")))
def test_a_score_depends_neither_on_batches_nor_on_ranks(name: str) -> None:
    metric = registry.load("metric", name)()
    if metric.needs_run:
        pytest.skip("it needs networks, and is tested with them")
    streams = {"fake": stream(0, 240, 0.3), "real": stream(1, 200), "train": stream(1, 200), "held_out": stream(2, 100)}
    images = {role: tensors["images"] for role, tensors in streams.items()}
    context = Context(
        class_names=("a", "b", "c"),
        own_classifier=True,
        images=lambda role, at: images[role][at],
        modes=modes(images["real"]),
    )
    check_metric(metric, context, **{role: streams[role] for role in metric.roles})


CLASSES = 3
BOUNDS = {
    "fid": (0, math.inf), "is": (1, CLASSES), "mutual_information": (0, math.log(CLASSES)),
    "h_y": (0, math.log(CLASSES)), "h_y_given_x": (0, math.log(CLASSES)), "precision": (0, 1), "recall": (0, 1),
    "density": (0, math.inf), "coverage": (0, 1), "per_class_fid": (0, math.inf), "worst_class_fid": (0, math.inf),
    "per_class_is": (1, CLASSES), "recognised": (0, 1), "ms_ssim": (0, 1), "spectrum": (0, math.inf),
    "modes": (0, 3), "good_samples": (0, 1), "modes_reverse_kl": (0, math.inf), "sliced_wasserstein": (0, math.inf),
    "authenticity": (0, 1), "nearer_than_train": (0, 1), "copies": (0, 1),
}  # fmt: skip


def test_an_interval_lies_where_the_number_can_be() -> None:
    """Of few images, real ones again but for every fifth, all but three of them alike, of classes that are plain."""
    real = stream(1, 21)
    fake = {**real, "features": real["features"] * (1 + 2.0 * (torch.arange(21) % 5 == 0)[:, None])}
    real["images"][CLASSES:] = fake["images"][CLASSES:] = stream(4, 1)["images"]
    for place, tensors in enumerate((fake, real)):
        tensors["logits"] = (
            20.0 * torch.nn.functional.one_hot(tensors["labels"]) * (torch.arange(21) % 7 > place)[:, None]
        )
    streams = {"fake": fake, "real": real, "train": real, "held_out": stream(3, 21)}
    context = Context(own_classifier=True, modes=modes(real["images"]))
    found = {}
    for name in registry.names("metric"):
        metric = registry.load("metric", name)()
        if not metric.needs_run:
            given: dict[str, Any] = {role: streams[role] for role in metric.roles}
            found.update(score(metric, context, **given).values)
    for name, (least, most) in BOUNDS.items():
        low, high = found[name].low, found[name].high
        if low is not None and high is not None:
            assert least - 1e-9 <= low <= found[name].value + 1e-9 <= high + 2e-9 <= most + 3e-9, name
