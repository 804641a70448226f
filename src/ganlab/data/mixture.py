"""Mixtures of normal distributions, whose modes are known."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ganlab.contracts.point_set import Modes, PointSet
from ganlab.core import randomness
from ganlab.core.checks import at_least, positive
from ganlab.core.errors import one_of

LABELS = ("none", "modes")


class Mixture(PointSet):
    """Points around the centres of K modes, in turn, so that all modes have equal shares.

    Args:
        centres: float64 (K, D).
        std: Standard deviation around a centre, positive.
        count: Number of points.
        seed: Of the draw.
        labels: ``none``, or ``modes``: the mode of a point is its class.

    Raises:
        ValueError: If an option is out of range.
    """

    protocol: ClassVar[str] = "mixture"

    def __init__(self, centres: Tensor, std: float, count: int, seed: int, labels: str) -> None:
        modes = Modes(centres.double(), positive("std", std))
        at_least("count", count, len(centres))
        at_least("seed", seed, 0)
        one_of(labels, LABELS, "labels")
        mode = torch.arange(count) % len(centres)
        noise = drawn(seed, "mixture", count, centres.shape[1])
        super().__init__((modes.centres[mode] + std * noise).numpy(), modes)
        if labels == "modes":
            self.labels = mode.numpy().astype(np.int64)
            self.class_names = tuple(str(number) for number in range(len(centres)))
        self._about = f"{type(self).__name__} {centres.tolist()} {std} {count} {seed} {labels} 1"

    def fingerprint(self) -> str:
        return self._about


def drawn(seed: int, purpose: str, *shape: int) -> Tensor:
    """Return normal numbers, float64, that depend on the arguments alone."""
    random: Any = randomness.generator("cpu", seed, "points", purpose, *shape)
    return torch.randn(shape, generator=random, dtype=torch.float64)
