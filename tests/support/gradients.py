"""Gradients after a backward pass."""

from __future__ import annotations

from torch import Tensor


def gradient(parameter: Tensor) -> Tensor:
    """The gradient of a parameter, which has one."""
    assert parameter.grad is not None
    return parameter.grad
