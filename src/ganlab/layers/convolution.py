"""Convolutions whose gradients are cheap to differentiate, for `ganlab.layers.second_derivatives`.

A penalty on an input gradient differentiates a network twice. With x the input, w the kernel, * the convolution and g
the gradient by its output, the gradients are

    by x:  T(g, w), the transposed convolution        by w:  C(x, g), the correlation of input and gradient

and each is linear in both arguments, so that their own gradients are convolutions, transposed ones and correlations
again: by g and w of T at a direction v they are v * w and C(v, g), by x and g of C at u they are T(g, u) and x * u.
torch has a kernel for each, and uses another one for C(v, g) when it differentiates twice: a convolution of transposed
images whose kernel is as large as the map. For 16 channels of 64x64 pixels, a batch of 16 and one thread that takes
22 ms, where v * w and C(v, g) take 3.1 and 3.2 (torch 2.14; ``benchmarks/second_derivatives.py``). NVIDIA's StyleGAN2
does the same for cuDNN.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

_backward = torch.ops.aten.convolution_backward.default


class _Geometry(NamedTuple):
    """All options of ``torch.convolution``, in its order."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    transposed: bool
    output_padding: list[int]
    groups: int


def convolved(function: Any, args: Any, kwargs: Any) -> Tensor | None:
    """Return what a convolution of `FUNCTIONS` gives, or None where torch's own derivatives are to be used."""
    x, weight, bias, geometry = FUNCTIONS[function](*args, **kwargs)
    if isinstance(geometry.padding, str) or not (x.requires_grad or weight.requires_grad):
        return None
    if x.ndim != weight.ndim:  # a map without a batch
        return None
    found: Tensor = _Convolution.apply(x, weight, bias, geometry)
    return found


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: _Geometry) -> Tensor:  # type: ignore[override]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.bias = geometry, None if bias is None else list(bias.shape)
        return torch.convolution(x, weight, bias, *geometry)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        if grad is None:
            return None, None, None, None
        x, weight = ctx.saved_tensors
        *wanted, _ = _wanted(ctx)
        if not torch.is_grad_enabled():
            return (*_backward(grad, x, weight, ctx.bias, *ctx.geometry, wanted), None)
        by_x = _ByInput.apply(grad, weight, x.detach(), ctx.geometry) if wanted[0] else None
        by_weight = _ByWeight.apply(grad, x, weight.detach(), ctx.geometry) if wanted[1] else None
        by_bias = grad.sum((0, *range(2, grad.ndim))) if wanted[2] else None
        return by_x, by_weight, by_bias, None


class _ByInput(torch.autograd.Function):
    """T(g, w); of the input only the shape matters."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, weight: Tensor, x: Tensor, geometry: _Geometry) -> Tensor:  # type: ignore[override]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(grad, weight)
        ctx.geometry = geometry
        return _backward(grad, x, weight, None, *geometry, [True, False, False])[0]

    @staticmethod
    def backward(ctx: Any, direction: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        if direction is None:
            return None, None, None, None
        grad, weight = ctx.saved_tensors
        by_grad, by_weight, *_ = _wanted(ctx)
        return (
            torch.convolution(direction, weight, None, *ctx.geometry) if by_grad else None,
            _backward(grad, direction, weight, None, *ctx.geometry, [False, True, False])[1] if by_weight else None,
            None,
            None,
        )


class _ByWeight(torch.autograd.Function):
    """C(x, g); of the weight only the shape matters."""

    @staticmethod
    def forward(ctx: Any, grad: Tensor, x: Tensor, weight: Tensor, geometry: _Geometry) -> Tensor:  # type: ignore[override]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(grad, x)
        ctx.geometry = geometry
        return _backward(grad, x, weight, None, *geometry, [False, True, False])[1]

    @staticmethod
    def backward(ctx: Any, direction: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        if direction is None:
            return None, None, None, None
        grad, x = ctx.saved_tensors
        by_grad, by_x, *_ = _wanted(ctx)
        return (
            torch.convolution(x, direction, None, *ctx.geometry) if by_grad else None,
            _backward(grad, x, direction, None, *ctx.geometry, [True, False, False])[0] if by_x else None,
            None,
            None,
        )


def _wanted(ctx: Any) -> list[bool]:
    """Tell which inputs the present backward pass takes gradients by: ``needs_input_grad`` says which it could."""
    nodes = ctx.next_functions  # of the tensors, which come first
    return [needed and _executed(nodes[i][0]) for i, needed in enumerate(ctx.needs_input_grad)]


def _executed(node: Any) -> bool:
    try:
        return torch._C._will_engine_execute_node(node)
    except RuntimeError:  # the very input by which torch.autograd.grad differentiates
        return True


def _straight(dimensions: int) -> Any:
    def arguments(
        input: Tensor,
        weight: Tensor,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        stride, dilation = _each(stride, dimensions), _each(dilation, dimensions)
        padding = padding if isinstance(padding, str) else _each(padding, dimensions)
        return input, weight, bias, _Geometry(stride, padding, dilation, False, [0] * dimensions, groups)

    return arguments


def _transposed(dimensions: int) -> Any:
    def arguments(
        input: Tensor,
        weight: Tensor,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Any:
        stride, padding, dilation, more = (_each(v, dimensions) for v in (stride, padding, dilation, output_padding))
        return input, weight, bias, _Geometry(stride, padding, dilation, True, more, groups)

    return arguments


def _each(value: Any, dimensions: int) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * dimensions if len(values) == 1 else values


FUNCTIONS = {
    torch.conv1d: _straight(1), torch.conv2d: _straight(2), torch.conv3d: _straight(3),
    torch.conv_transpose1d: _transposed(1), torch.conv_transpose2d: _transposed(2),
    torch.conv_transpose3d: _transposed(3),
}  # fmt: skip
