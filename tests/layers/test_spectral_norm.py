"""Spectral norm against singular value decompositions, a loop from the paper, and torch's own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from support.spectral import list_of, norm_of
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.utils import parametrize

from ganlab.layers import spectral_norm, state
from ganlab.layers.spectral_norm import SpectralNorm, attach, attached, exempt, held, power_iterate

Layer = nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding
LAYERS: dict[str, Callable[[], Layer]] = {
    "conv": lambda: nn.Conv2d(3, 5, 3),
    "pointwise": lambda: nn.Conv2d(4, 6, 1),
    "grouped": lambda: nn.Conv2d(4, 6, 3, groups=2),
    "transposed": lambda: nn.ConvTranspose2d(3, 5, 4),
    "linear": lambda: nn.Linear(7, 4),
    "embedding": lambda: nn.Embedding(6, 3),
    "conv1d": lambda: nn.Conv1d(3, 5, 3),
}


def as_matrix(layer: nn.Module) -> torch.Tensor:
    weight = list_of(layer).original
    return (weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight).flatten(1)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
def test_after_many_iterations_the_largest_singular_value_is_one(kind: str, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    layer = LAYERS[kind]()
    layer.to(memory_format=layout)
    weight = layer.weight.detach().clone()
    attach(layer)
    for _ in range(200):
        normalized = layer.weight
    sigma = torch.linalg.matrix_norm(as_matrix(layer), 2)
    torch.testing.assert_close(normalized, weight / sigma)


def test_each_call_makes_one_iteration_of_algorithm_1() -> None:
    """ṽ = Wᵀũ/‖Wᵀũ‖, ũ = Wṽ/‖Wṽ‖, σ = ũᵀWṽ, as in arXiv:1802.05957, by loops over rows and columns."""
    torch.manual_seed(0)
    layer = nn.Linear(4, 3).double()
    attach(layer)
    matrix, u = as_matrix(layer).detach(), norm_of(layer).u.clone()
    for _ in range(3):
        v = torch.stack([torch.stack([matrix[i, j] * u[i] for i in range(3)]).sum() for j in range(4)])
        v = v / v.square().sum().sqrt()
        u = torch.stack([torch.stack([matrix[i, j] * v[j] for j in range(4)]).sum() for i in range(3)])
        u = u / u.square().sum().sqrt()
        sigma = sum(u[i] * matrix[i, j] * v[j] for i in range(3) for j in range(4))
        torch.testing.assert_close(layer.weight, matrix / sigma)
        torch.testing.assert_close(norm_of(layer).u, u)


def test_several_iterations_a_call_equal_several_calls() -> None:
    torch.manual_seed(0)
    once, thrice = nn.Linear(4, 3), nn.Linear(4, 3)
    attach(once)
    attach(thrice, iterations=3)
    thrice.load_state_dict(once.state_dict())
    for _ in range(3):
        expected = once.weight
    torch.testing.assert_close(thrice.weight, expected)


def test_the_vector_moves_only_in_training_and_where_state_moves() -> None:
    layer = nn.Linear(4, 3)
    attach(layer)
    norm = norm_of(layer)
    before = norm.u.clone()
    with state.passing(moves=False):
        first = layer.weight
    layer.eval()
    second = layer.weight
    assert torch.equal(norm.u, before)
    assert torch.equal(first, second)
    layer.train()
    assert torch.equal(layer.weight, first)
    assert not torch.equal(norm.u, before)


@pytest.mark.parametrize("kind", ["conv", "transposed", "linear"])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
def test_the_gradient_goes_through_the_weight_alone(kind: str, memory: torch.memory_format) -> None:
    """d/dW of Σ D∘W/(uᵀWv) with u and v constants, by autograd on the formula itself."""
    torch.manual_seed(0)
    layer = LAYERS[kind]().double()
    layer.to(memory_format=memory)
    attach(layer)
    with torch.no_grad():
        u = norm_of(layer).u.clone()
        v = nn.functional.normalize(as_matrix(layer).T @ u, dim=0)
        u = nn.functional.normalize(as_matrix(layer) @ v, dim=0)
    normalized = layer.weight
    direction = torch.randn_like(normalized)
    (normalized * direction).sum().backward()
    original = list_of(layer).original
    assert original.grad is not None
    found = original.grad.clone()
    (expected,) = torch.autograd.grad((original / (u @ as_matrix(layer) @ v) * direction).sum(), original)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("out_dim", [0, 1])
def test_the_normalized_weight_has_first_and_second_derivatives(layout: torch.memory_format, out_dim: int) -> None:
    torch.manual_seed(0)
    weight = torch.randn(3, 2, 2, 2, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    norm = SpectralNorm(weight.detach(), out_dim)
    u = norm.u
    v = nn.functional.normalize(norm.matrix(weight.detach()).T @ u, dim=0)

    def normalized(weight: torch.Tensor) -> torch.Tensor:  # u and v are constants
        sigma = torch.dot(u, torch.mv(norm.matrix(weight.detach()), v))
        return spectral_norm._Normalize.apply(weight, u, v, sigma, out_dim)

    assert gradcheck(normalized, (weight,))
    assert gradgradcheck(normalized, (weight,))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3), nn.ConvTranspose2d(8, 4, 2), nn.Linear(5, 4)
    )


@pytest.mark.parametrize("inside", [False, True], ids=["by itself", "held"])
def test_a_differentiable_norm_has_the_gradient_of_its_iterations_too(inside: bool) -> None:
    """As autograd finds it for the formula, from the u before the call; the first derivative alone differs."""
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 3).double()
    parametrizations = attach(layer, iterations=2, differentiable=True)
    weight, u = list_of(layer).original.detach().clone().requires_grad_(), norm_of(layer).u.clone()
    matrix, image = weight.flatten(1), torch.randn_like(weight)
    for _ in range(2):
        v = matrix.t() @ u / (matrix.t() @ u).norm()
        u = matrix @ v / (matrix @ v).norm()
    normalized = weight / (u @ matrix @ v)
    (expected,) = torch.autograd.grad((normalized * image).sum(), weight)
    with held(parametrizations) if inside else nullcontext():
        (found,) = torch.autograd.grad((layer.weight * image).sum(), list_of(layer).original)
        found_u = norm_of(layer).u
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_u, u.detach())
    with pytest.raises(ValueError, match="exact=false"):
        attach(nn.Linear(3, 3), exact=True, differentiable=True)


def test_iterating_all_at_once_equals_iterating_each() -> None:
    one, all_at_once = network(), network()
    attach(one)
    parametrizations = attach(all_at_once)
    all_at_once.load_state_dict(one.state_dict())
    for _ in range(2):
        _ = [layer.weight for layer in one]
        power_iterate(parametrizations)
    for a, b in zip(one, all_at_once, strict=True):
        torch.testing.assert_close(norm_of(a).u, norm_of(b).u)
    before = [norm_of(parametrization).u.clone() for parametrization in parametrizations]
    with state.passing(moves=False):
        power_iterate(parametrizations)
    for parametrization, vector in zip(parametrizations, before, strict=True):
        assert torch.equal(norm_of(parametrization).u, vector)


def test_inside_held_every_pass_sees_one_sigma_and_the_vectors_move_once() -> None:
    one, several = network(), network()
    attach(one)
    parametrizations = attach(several)
    several.load_state_dict(one.state_dict())
    expected = [layer.weight for layer in one]
    with held(parametrizations), parametrize.cached():
        for _ in range(3):
            for layer, want in zip(several, expected, strict=True):
                torch.testing.assert_close(layer.weight, want)
    for a, b in zip(one, several, strict=True):
        torch.testing.assert_close(norm_of(a).u, norm_of(b).u)
    assert not any(norm_of(parametrization).held for parametrization in parametrizations)


def test_held_without_moving_state_uses_a_fresh_iteration_and_stores_nothing() -> None:
    layer = nn.Linear(4, 3)
    parametrizations = attach(layer)
    before = norm_of(parametrizations[0]).u.clone()
    with state.passing(moves=False), held(parametrizations):
        inside = layer.weight
    assert torch.equal(norm_of(parametrizations[0]).u, before)
    assert torch.equal(inside, layer.eval().weight)


def test_a_state_dict_goes_round_with_the_vectors() -> None:
    one = network()
    attach(one)
    _ = [layer.weight for layer in one]
    other = network()
    attach(other)
    other.load_state_dict(one.state_dict())
    assert {name for name in one.state_dict() if name.endswith(".u")}
    for a, b in zip(one.eval(), other.eval(), strict=True):
        torch.testing.assert_close(a.weight, b.weight, rtol=0, atol=0)


def test_marked_modules_and_those_that_have_it_are_left_alone() -> None:
    net = nn.ModuleDict({"a": exempt(nn.Embedding(3, 4)), "b": nn.Linear(4, 4), "c": nn.BatchNorm2d(3)})
    assert len(attach(net)) == 1
    assert len(attach(net)) == 1
    assert len(attached(net)) == 1
    assert len(list_of(net["b"])) == 1
    assert not parametrize.is_parametrized(net["a"])


def test_a_network_under_autocast_is_normalized_in_single_precision() -> None:
    layer = nn.Linear(64, 64)
    attach(layer)
    layer.eval()
    expected = layer.weight
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.weight, expected)
        assert layer.weight.dtype == torch.float32


def test_no_iteration_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one power iteration, got 0"):
        spectral_norm.attach(nn.Linear(2, 2), iterations=0)


def calls(what: object, *, operation: str) -> int:
    """Count the calls of torch's ``operation`` in ``what()``."""
    with torch.profiler.profile() as profile:
        what()  # type: ignore[operator]
    return sum(event.count for event in profile.key_averages() if event.key == operation)


def test_a_hundred_layers_take_two_products_each_and_one_call_of_everything_else() -> None:
    deep = nn.Sequential(*(nn.Linear(4, 4) for _ in range(100)))
    parametrizations = attach(deep)
    with torch.profiler.profile() as profile:
        power_iterate(parametrizations)
    operations = ("aten::mv", "aten::_foreach_norm", "aten::_foreach_div", "aten::_foreach_copy_", "aten::clamp_min")
    counted = {event.key: event.count for event in profile.key_averages() if event.key in operations}
    # u to its buffer, and u, v and sigma to those that `held` uses
    assert counted == {
        "aten::mv": 200,
        "aten::_foreach_norm": 2,
        "aten::_foreach_div": 2,
        "aten::_foreach_copy_": 4,
        "aten::clamp_min": 2,
    }


def test_nothing_is_iterated_twice_from_the_same_weight_and_vector() -> None:
    one, two = network(), network()
    first, second = attach(one), attach(two)
    two.load_state_dict(one.state_dict())
    with state.passing(moves=False):
        power_iterate(first)
    again = calls(lambda: power_iterate(first, unchanged=True), operation="aten::mv")
    assert again == 0  # and now u is stored
    power_iterate(second)
    for a, b in zip(first, second, strict=True):
        assert torch.equal(norm_of(a).u, norm_of(b).u)
        assert torch.equal(norm_of(a).sigma, norm_of(b).sigma)
    assert calls(lambda: power_iterate(first), operation="aten::mv") == 10


def test_sigma_is_that_of_the_formula_where_vectors_are_shorter_than_epsilon() -> None:
    """‖Wv‖ < ε: u = Wv/ε, and σ = uᵀWv = ‖Wv‖²/ε."""
    weight = torch.tensor([[3.0, 4.0]])
    norm = SpectralNorm(weight, eps=100.0)
    u = norm.u.clone()
    v = weight.T @ u / 100
    torch.testing.assert_close(norm(weight), weight / ((weight @ v).square().sum() / 100))
