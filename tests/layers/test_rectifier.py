"""Rectifiers without a second derivative, compared with torch's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ganlab.layers.second_derivatives import differentiated_twice

RECTIFIERS: dict[str, Callable[[Tensor], Tensor]] = {
    "F.relu": F.relu,
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "Tensor.relu": lambda x: x.relu(),
    "Tensor.relu_": lambda x: x.relu_(),
    "nn.ReLU": nn.ReLU(),
    "F.leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "F.leaky_relu in place": lambda x: F.leaky_relu(x, negative_slope=0.2, inplace=True),
    "F.leaky_relu_": lambda x: F.leaky_relu_(x, 0.2),
    "nn.LeakyReLU": nn.LeakyReLU(),
    "a falling one": lambda x: F.leaky_relu(x, -0.3),
    "in place, on a view": lambda x: F.leaky_relu(x.permute(0, 2, 3, 1), 0.2, inplace=True).permute(0, 3, 1, 2),
}


def derivatives(rectify: Callable[[Tensor], Tensor], order: int) -> tuple[Tensor, ...]:
    """Gradients by images and weights of a penalty on an input gradient and of the value; of order 3 of their norm."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 8, 3, padding=1).double(), nn.Conv2d(8, 4, 3).double()
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64, requires_grad=True)
    wanted = [x, *first.parameters(), *second.parameters()]
    y = second(rectify(first(x))).square()
    (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    total = gradient.square().sum() + y.sum()
    if order == 3:
        total = sum((g.square().sum() for g in torch.autograd.grad(total, wanted, create_graph=True)), total)
    return torch.autograd.grad(total, wanted)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("name", RECTIFIERS)
def test_derivatives_are_those_of_torch(name: str, order: int) -> None:
    expected = derivatives(RECTIFIERS[name], order)
    with differentiated_twice():
        found = derivatives(RECTIFIERS[name], order)
    for mine, own in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, own, rtol=1e-12, atol=1e-12)


class Computed(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(function.__name__)
        return function(*args, **(kwargs or {}))


def test_nothing_is_computed_with_the_second_derivative_of_a_rectifier() -> None:
    """A penalty on the input gradient of a network that is linear in pieces depends on its weights alone, not on the
    maps: with torch's own derivatives there are two more backward passes of convolutions, of zeros."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 1, 3))

    def slopes(cheap: bool) -> tuple[list[Tensor | None], list[str]]:
        x = torch.ones(2, 3, 9, 9, requires_grad=True)
        net.zero_grad()
        with differentiated_twice(cheap):
            y = net(x)
        (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        with Computed() as computed:
            gradient.square().sum().backward(inputs=list(net.parameters()))
        return [p.grad for p in net.parameters()], computed.names

    found, computed = slopes(cheap=True)
    expected, by_torch = slopes(cheap=False)
    torch.testing.assert_close(found[::2], expected[::2])  # of weights
    assert found[1::2] == [None] * 3  # of biases
    assert all(own is None or not own.any() for own in expected[1::2])
    assert "zeros_like.default" not in computed
    assert "zeros_like.default" in by_torch
    assert computed.count("convolution_backward.default") == 3  # of each weight, what it does to the input gradient
