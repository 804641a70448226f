"""Gradients of penalties on weights, which are added to those of a player."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def add_scaled(gradients: Sequence[Tensor], terms: Sequence[Tensor], scale: float | Tensor) -> None:
    """Add ``scale`` times the terms to the gradients in place; one that is a tensor is not read on the host."""
    if isinstance(scale, Tensor):
        terms, scale = torch._foreach_mul(list(terms), scale), 1.0
    torch._foreach_add_(list(gradients), list(terms), alpha=scale)
