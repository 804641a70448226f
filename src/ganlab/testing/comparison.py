"""Comparisons of found and expected numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def close(what: str, found: Tensor, expected: Tensor, tolerance: float, least: float = 1e-3) -> None:
    """``tolerance`` is relative to the largest number expected, or to ``least`` where that is larger."""
    scale = float(expected.detach().abs().max()) + 1e-6
    distance = float((found.detach() - expected.detach()).abs().max())
    require(distance <= tolerance * max(scale, least), f"{what}: expected {expected}, got {found}")


def check_slope(what: str, value: Callable[[], Tensor], parameters: list[nn.Parameter]) -> None:
    """The gradient of ``value()`` along a random direction against central differences, in float64."""
    gradients = torch.autograd.grad(value(), parameters, allow_unused=True)
    random = torch.Generator().manual_seed(3)
    directions = [torch.randn(p.shape, generator=random, dtype=p.dtype) for p in parameters]
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True) if g is not None)
    size = math.sqrt(sum(float(g.square().sum()) for g in gradients if g is not None))
    for step in (1e-6, 1e-8):  # the small one for networks with kinks, where a large one crosses some
        difference = _difference(value, parameters, directions, step)
        if abs(slope - difference) <= 1e-3 * abs(difference) + 1e-5 * size + 1e-7:
            return
    raise AssertionError(f"{what}: its gradient along a direction is {slope:.8g}, differences give {difference:.8g}")


def _difference(
    value: Callable[[], Tensor], parameters: list[nn.Parameter], directions: list[Tensor], step: float
) -> float:
    before = [p.detach().clone() for p in parameters]
    values = []
    for sign in (1, -1):
        for p, start, direction in zip(parameters, before, directions, strict=True):
            p.data = start + sign * step * direction
        values.append(float(value().detach()))
    for p, start in zip(parameters, before, strict=True):
        p.data = start
    return (values[0] - values[1]) / (2 * step)


@contextmanager
def kept(*modules: nn.Module) -> Iterator[None]:
    """Restore the state of ``modules`` after the block."""
    before = [{name: tensor.clone() for name, tensor in module.state_dict().items()} for module in modules]
    yield
    for module, state_dict in zip(modules, before, strict=True):
        module.load_state_dict(state_dict)
