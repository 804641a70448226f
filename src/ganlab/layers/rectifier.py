"""Rectifiers without a second derivative, for `ganlab.layers.second_derivatives`.

relu and leaky relu are linear on both sides of 0: their slope does not depend on x, and the derivative of the gradient
slope(x)·g by x is 0. torch returns it as a map of zeros, and computes the whole backward pass from there on. Here it is
None, and torch's engine leaves out what follows from it: with a penalty at points of its own a whole backward pass of
convolutions, with one at the points of the loss additions of zeros.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_of_leaky_relu = torch.ops.aten.leaky_relu_backward.default
_of_relu = torch.ops.aten.threshold_backward.default


def rectified(function: Any, args: Any, kwargs: Any) -> Tensor | None:
    """Return what a rectifier of `FUNCTIONS` gives, or None where torch's own derivatives are to be used."""
    x, slope, inplace = FUNCTIONS[function](*args, **kwargs)
    if slope < 0 or not x.requires_grad:
        return None
    found: Tensor = _Rectifier.apply(x, slope, inplace)
    return found


class _Rectifier(torch.autograd.Function):
    """max(0, x) + slope·min(0, x); keeps what torch keeps: of a leaky relu out of place x, otherwise its value."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: float, inplace: bool) -> Tensor:  # type: ignore[override]
        ctx.set_materialize_grads(False)
        ctx.slope, ctx.of_value = slope, inplace or slope == 0
        if inplace:
            ctx.mark_dirty(x)
            value = F.leaky_relu_(x, slope) if slope else torch.relu_(x)
        else:
            value = F.leaky_relu(x, slope) if slope else torch.relu(x)
        ctx.save_for_backward(value if ctx.of_value else x)
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        if grad is None:
            return None, None, None
        (kept,) = ctx.saved_tensors
        return _Slope.apply(grad, kept.detach(), ctx.slope, ctx.of_value), None, None


class _Slope(torch.autograd.Function):
    """slope(x)·g, linear in g and its own adjoint; of x the sign matters, which its value has too."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, kept: Tensor, slope: float, of_value: bool) -> Tensor:  # type: ignore[override]
        ctx.set_materialize_grads(False)
        ctx.slope, ctx.of_value = slope, of_value
        ctx.save_for_backward(kept)
        return _of_leaky_relu(grad, kept, slope, of_value) if slope else _of_relu(grad, kept, 0)

    @staticmethod
    def backward(ctx: Any, direction: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        if direction is None:
            return None, None, None, None
        (kept,) = ctx.saved_tensors
        return _Slope.apply(direction, kept, ctx.slope, ctx.of_value), None, None, None


def _leaky(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> tuple[Tensor, float, bool]:
    return input, negative_slope, inplace


def _leaky_inplace(input: Tensor, negative_slope: float = 0.01) -> tuple[Tensor, float, bool]:
    return input, negative_slope, True


def _relu(input: Tensor, inplace: bool = False) -> tuple[Tensor, float, bool]:
    return input, 0.0, inplace


def _relu_inplace(input: Tensor) -> tuple[Tensor, float, bool]:
    return input, 0.0, True


FUNCTIONS = {
    F.leaky_relu: _leaky, F.leaky_relu_: _leaky_inplace,
    F.relu: _relu, torch.relu: _relu, Tensor.relu: _relu, torch.relu_: _relu_inplace, Tensor.relu_: _relu_inplace,
}  # fmt: skip
