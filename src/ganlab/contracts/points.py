"""Images that a discriminator judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(eq=False)
class Points:
    """Images that the discriminator judges.

    Args:
        images: (B, C, H, W) in [-1, 1]; for points of a plane any (B, ...).
        labels: (B,) int64 or None.
        role: ``real``, ``fake``, ``interpolated`` or a regularizer's own word.
        codes: (B, Z) for a discriminator that judges pairs of an image and a code; else None. Other
            images with the same codes are ``replace(points, images=...)``.
    """

    images: Tensor
    labels: Tensor | None
    role: str
    codes: Tensor | None = None

    @property
    def conditions(self) -> tuple[Tensor | None, ...]:
        """Return what the discriminator sees in addition to the image: labels, and codes if it judges pairs."""
        return (self.labels,) if self.codes is None else (self.labels, self.codes)


def mapped(condition: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a condition with every tensor of it changed: a tensor, or a list, tuple or mapping of conditions."""
    if isinstance(condition, Tensor):
        return change(condition)
    if isinstance(condition, Mapping):
        return {name: mapped(value, change) for name, value in condition.items()}
    if isinstance(condition, (list, tuple)):
        return type(condition)(mapped(value, change) for value in condition)
    return condition
