"""Convolutions with cheap second derivatives, held against torch's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ganlab.assembly import experiment
from ganlab.config import compose
from ganlab.layers.second_derivatives import differentiated_twice

NETWORKS: dict[str, Callable[[], nn.Sequential]] = {
    "straight": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Softplus(), nn.Conv2d(8, 6, 4, 2, 1, groups=2, bias=False), nn.Softplus(),
        nn.Conv2d(6, 4, 3, dilation=2, padding=(2, 1)),
    ),
    "transposed": lambda: nn.Sequential(
        nn.ConvTranspose2d(3, 8, 4, 2, 1), nn.Softplus(), nn.ConvTranspose2d(8, 6, 3, 2, 1, groups=2, bias=False)
    ),
    "padded by a word": lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding="same"), nn.Softplus(), nn.Conv2d(8, 2, 3)),
    "of one dimension": lambda: nn.Sequential(
        nn.Conv1d(3, 8, 3, stride=2, padding=2, dilation=2), nn.Softplus(), nn.ConvTranspose1d(8, 2, 3, 2, 1, 1)
    ),
    "of three dimensions": lambda: nn.Sequential(
        nn.Conv3d(3, 4, (2, 3, 1), stride=(1, 2, 1), padding=(1, 0, 0)), nn.Softplus(),
        nn.ConvTranspose3d(4, 2, 2, (1, 2, 1), output_padding=(0, 1, 0)),
    ),
    "transposed, dilated": lambda: nn.Sequential(
        nn.ConvTranspose2d(3, 6, 3, (2, 1), (1, 0), (1, 0), groups=3, dilation=(1, 2)), nn.Softplus(),
        nn.Conv2d(6, 2, 2),
    ),
    "reflected": lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"), nn.Softplus()),
}  # fmt: skip


SIZES = {"of one dimension": (9,), "of three dimensions": (4, 5, 3)}  # of the others: 9 x 8


def network(name: str) -> nn.Sequential:
    torch.manual_seed(0)
    return NETWORKS[name]().double()


def by_inputs(net: nn.Module, x: Tensor, order: int) -> tuple[Tensor, ...]:
    """Gradients of a penalty on an input gradient; of order 3: of the norm of those."""
    parameters = list(net.parameters())
    x = x.requires_grad_()
    y = net(x)
    (gradient,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    total = gradient.square().sum() + y.sum()
    if order == 3:
        total = sum((g.square().sum() for g in torch.autograd.grad(total, parameters, create_graph=True)), total)
    return torch.autograd.grad(total, [x, *parameters])


def by_parameters(net: nn.Module, x: Tensor, order: int) -> tuple[Tensor, ...]:
    """Gradients of the norm of a gradient by the parameters, as consensus optimization takes them."""
    parameters = list(net.parameters())
    gradients = torch.autograd.grad(net(x).square().sum(), parameters, create_graph=True)
    return torch.autograd.grad(sum(g.square().sum() for g in gradients), parameters)  # type: ignore[arg-type]


DERIVATIVES = ((by_inputs, 2), (by_inputs, 3), (by_parameters, 2))
WITHOUT_A_THIRD = ("of one dimension", "of three dimensions", "transposed, dilated")  # torch 2.14: of output_padding


@pytest.mark.parametrize(
    ("name", "differentiate", "order"),
    [(name, *of) for name in NETWORKS for of in DERIVATIVES if of[1] < 3 or name not in WITHOUT_A_THIRD],
)
def test_derivatives_are_those_of_torch(name: str, differentiate: Any, order: int) -> None:
    net = network(name)
    x = torch.randn(2, 3, *SIZES.get(name, (9, 8)), dtype=torch.float64)
    expected = differentiate(net, x.clone(), order)
    with differentiated_twice():
        found = differentiate(net, x.clone(), order)
    for mine, own in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, own, rtol=1e-11, atol=1e-12)


class Kernels(TorchDispatchMode):
    """Keeps the kinds and kernel sizes of the convolutions that are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.forward: list[int] = []
        self.backward: list[tuple[bool, ...]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.ops.aten.convolution.default:
            self.forward.append(args[1].shape[-1])
        if function is torch.ops.aten.convolution_backward.default:
            self.backward.append(tuple(args[-1]))
        return function(*args, **(kwargs or {}))


def test_nothing_is_computed_that_nobody_asked_for() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Conv2d(4, 2, 3))
    x = torch.randn(2, 3, 9, 9, requires_grad=True)
    with Kernels() as kernels:
        with differentiated_twice():
            y = net(x)
        (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        assert kernels.backward == [(True, False, False)] * 2  # by the images, not by weights and biases
        (gradient.square().sum() + y.sum()).backward(inputs=list(net.parameters()))
    # the pass, and what the first layer's output gets from the penalty; none has a kernel as large as the map
    assert kernels.forward == [3] * 3
    # of each layer: what its weight does to the input gradient, and the plain backward pass, the first layer's without
    # the gradient by the images
    assert sorted(kernels.backward[2:]) == sorted(
        [(False, True, False)] * 2 + [(True, True, True), (False, True, True)]
    )


def test_autocast_and_passes_without_gradient_are_left_alone() -> None:
    net, x = network("straight").float(), torch.randn(2, 3, 9, 8)
    with differentiated_twice(), torch.no_grad():
        assert net(x).grad_fn is None
    with differentiated_twice(), torch.autocast("cpu", torch.bfloat16):
        assert net(x).dtype is torch.bfloat16
    with differentiated_twice(False):
        assert "Convolution" in type(net[-1](torch.randn(1, 6, 9, 8)).grad_fn).__name__


TORCHS_OWN = "ConvolutionBackward0"


@pytest.mark.parametrize("name", ["straight", "transposed", "of one dimension"])
def test_a_map_without_a_batch_is_taken(name: str) -> None:
    net = network(name)
    x = torch.randn(3, *SIZES.get(name, (9, 8)), dtype=torch.float64)
    with differentiated_twice():
        found = by_inputs(net, x.clone(), 2)
    torch.testing.assert_close(found, by_inputs(net, x.clone(), 2))


def nodes(tensor: Tensor) -> set[str]:
    """The names of all nodes in the graph of a tensor."""
    names: set[str] = set()
    waiting, seen = [tensor.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            names.add(node.name())
            waiting += [after for after, _ in node.next_functions]
    return names


@pytest.mark.parametrize(
    ("words", "cheap"),
    [
        ("reg=none", False),
        ("reg=r1 reg.r1.interval_steps=1", True),
        ("reg=gradient_penalty", True),
        ("reg=consensus", True),
        ("reg=locally_stable", True),
    ],
)
def test_penalties_of_a_run_differentiate_passes_of_this_kind(words: str, cheap: bool) -> None:
    """Every pass of the discriminator that a gradient is taken of to be differentiated again."""
    small = ["model=dcgan", "discriminator.width=4", "generator.width=4", "data.batch_size=4"]
    built = experiment.build(compose.read([*small, *words.split()]))
    found: list[set[str]] = []
    game: Any = built.module.game
    game.discriminator.register_forward_hook(lambda module, inputs, output: found.append(nodes(output)))
    built.module.begin()
    built.module.iterate(next(iter(experiment.loader(built, torch.device("cpu")))))
    assert found
    assert any(TORCHS_OWN not in names for names in found) == cheap
