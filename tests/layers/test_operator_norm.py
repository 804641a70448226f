"""The norm of convolutions as maps from feature map to feature map."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.testing import assert_close

from ganlab.layers import state
from ganlab.layers.operator_norm import OperatorNorm

Layer = nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d
SIZE = (6, 5)
LAYERS: dict[str, Callable[[], Layer]] = {
    "plain": lambda: nn.Conv2d(2, 3, 3),
    "padded": lambda: nn.Conv2d(2, 3, 3, padding=1),
    "same": lambda: nn.Conv2d(2, 3, 3, padding="same"),
    "strided": lambda: nn.Conv2d(2, 4, 4, stride=2, padding=1),
    "grouped": lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2),
    "dilated": lambda: nn.Conv2d(2, 3, 2, dilation=2),
    "mirrored": lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"),
    "circular": lambda: nn.Conv2d(2, 3, (3, 2), padding="same", padding_mode="circular"),
    "transposed": lambda: nn.ConvTranspose2d(2, 3, 4, stride=2, padding=1, output_padding=1),
    "lines": lambda: nn.Conv1d(2, 3, 3, padding=2),
}


def dense(layer: Layer, size: tuple[int, ...]) -> Tensor:
    """The layer as a matrix, a column for each number of its input."""
    inputs = torch.eye(layer.in_channels * math.prod(size), dtype=torch.float64)
    with torch.no_grad():
        outputs = layer(inputs.view(-1, layer.in_channels, *size))
    return (outputs - layer(torch.zeros(1, layer.in_channels, *size).double())).flatten(1).T


@pytest.mark.parametrize("name", LAYERS)
def test_it_is_the_largest_singular_value_of_the_dense_matrix_and_its_slope(name: str) -> None:
    """d sigma / dW is that of the decomposition of the dense matrix, by autograd."""
    torch.manual_seed(0)
    layer = LAYERS[name]().double()
    size = SIZE[: layer.weight.ndim - 2]
    norm = OperatorNorm(layer, size).double()
    _, values, right = torch.linalg.svd(dense(layer, size))
    norm.v.copy_(right[0].view(norm.v.shape))  # where the iterations lead
    expected = values[0]
    assert_close(layer.weight / norm(layer.weight), expected.expand_as(layer.weight), rtol=1e-6, atol=0)
    direction = torch.randn_like(layer.weight)
    (slope,) = torch.autograd.grad((norm(layer.weight) * direction).sum(), layer.weight)
    start, h, found = layer.weight.detach().clone(), 1e-5, []
    for sign in (1, -1):
        layer.weight.data = start + sign * h * direction
        sigma = torch.linalg.svdvals(dense(layer, size))[0]
        found.append(((start + sign * h * direction) / sigma * direction).sum())
    assert_close((slope * direction).sum(), (found[0] - found[1]) / (2 * h), rtol=1e-5, atol=1e-7)


def test_with_circular_padding_it_is_that_of_the_kernels_fourier_transform() -> None:
    """Sedghi et al., theorem 6: the union over frequencies of the singular values of (out, in) matrices."""
    torch.manual_seed(1)
    layer = nn.Conv2d(3, 4, 3, padding="same", padding_mode="circular").double()
    frequencies = torch.fft.fft2(layer.weight.detach(), s=(8, 7)).permute(2, 3, 0, 1)
    expected = torch.linalg.svdvals(frequencies).max()
    found = layer.weight / OperatorNorm(layer, (8, 7), iterations=500).double()(layer.weight)
    assert_close(found.detach(), expected.expand_as(found), rtol=1e-6, atol=0)


def test_it_lies_between_the_norm_of_the_reshaped_kernel_and_that_times_the_root_of_its_positions() -> None:
    """Equal where kernels tile the map without overlap."""
    torch.manual_seed(0)
    for layer, low, high in ((nn.Conv2d(3, 5, 3, padding=1), 1, 3), (nn.Conv2d(3, 5, 3, stride=3), 1, 1)):
        kernel = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        sigma = (layer.weight / OperatorNorm(layer, (9, 9), iterations=100)(layer.weight)).mean()
        assert low * kernel * (1 - 1e-4) <= sigma <= high * kernel * (1 + 1e-4)


def test_iterations_lead_to_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 3, 3, padding=1).double()
    sigma = layer.weight / OperatorNorm(layer, SIZE, iterations=200).double()(layer.weight)
    assert_close(sigma.mean(), torch.linalg.svdvals(dense(layer, SIZE))[0], rtol=1e-6, atol=0)


def test_its_vector_moves_in_training_where_state_moves_alone() -> None:
    layer = nn.Conv2d(2, 3, 3)
    norm = OperatorNorm(layer, SIZE)
    start = norm.v.clone()
    with state.passing(moves=False):
        assert_close(norm(layer.weight), norm(layer.weight))
    assert torch.equal(norm.v, start)
    norm.eval()(layer.weight)
    assert torch.equal(norm.v, start)
    norm.train()(layer.weight)
    assert not torch.equal(norm.v, start)
    assert_close(norm.v.norm().item(), 1.0)


def test_it_can_be_differentiated_twice() -> None:
    layer = nn.Conv2d(1, 2, 2).double()
    norm = OperatorNorm(layer, (3, 3)).double().eval()
    x = torch.randn(1, 1, 3, 3, dtype=torch.float64)

    def penalty(weight: Tensor) -> Tensor:
        parametrized = norm(weight)
        images = x.clone().requires_grad_()
        out = torch.nn.functional.conv2d(images, parametrized).tanh().sum()
        return torch.autograd.grad(out, images, create_graph=True)[0].square().sum()

    w = layer.weight.detach().requires_grad_()
    step = torch.randn_like(w) * 1e-5
    (slope,) = torch.autograd.grad(penalty(w), w)
    # u and v are constants of the derivative and move with the weight: compare where they have converged
    norm.iterations = 300
    (slope,) = torch.autograd.grad(penalty(w), w)
    difference = (penalty(w.detach() + step) - penalty(w.detach() - step)) / 2
    assert_close((slope * step).sum(), difference.detach(), rtol=1e-4, atol=1e-10)


def test_as_a_parametrization_it_is_saved_with_the_weight() -> None:
    layer = nn.Conv2d(2, 3, 3)
    parametrize.register_parametrization(layer, "weight", OperatorNorm(layer, SIZE), unsafe=True)
    assert "parametrizations.weight.0.v" in layer.state_dict()
