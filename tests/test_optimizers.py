"""Optimizers against the formulas of their papers, for any strides."""

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from ganlab.optimizers import adam, adamw, rmsprop, sgd

SHAPES = [(4, 3, 3, 3), (4,), (5, 4)]


def parameters(memory_format: torch.memory_format = torch.contiguous_format) -> list[nn.Parameter]:
    random = torch.Generator().manual_seed(0)
    values = [torch.randn(shape, generator=random) for shape in SHAPES]
    return [nn.Parameter(v.contiguous(memory_format=memory_format) if v.ndim == 4 else v) for v in values]


def gradients(step: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(100 + step)
    return [torch.randn(shape, generator=random) for shape in SHAPES]


def trained(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter], steps: int = 4) -> list[Tensor]:
    for step in range(steps):
        for weight, gradient in zip(weights, gradients(step), strict=True):
            weight.grad = gradient.clone()  # contiguous, whatever the weight's strides are
        optimizer.step()
    return [w.detach().contiguous() for w in weights]


def by_hand(rule: Callable[..., Tensor], steps: int = 4) -> list[Tensor]:
    """``rule(w, g, t, memory)`` for every weight, in float64."""
    found = []
    for i, weight in enumerate(parameters()):
        memory: dict[str, Any] = {}
        w = weight.detach().double()
        for step in range(steps):
            w = rule(w, gradients(step)[i].double(), step + 1, memory)
        found.append(w.float())
    return found


def adam_rule(
    lr: float, beta1: float, beta2: float, eps: float, weight_decay: float = 0.0, decoupled: bool = False
) -> Callable[..., Tensor]:
    """arXiv:1412.6980, algorithm 1; decay as in arXiv:1711.05101, algorithm 2."""

    def rule(w: Tensor, g: Tensor, t: int, memory: dict[str, Any]) -> Tensor:
        if decoupled:
            w = w * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * w
        m = memory["m"] = beta1 * memory.get("m", 0) + (1 - beta1) * g
        v = memory["v"] = beta2 * memory.get("v", 0) + (1 - beta2) * g**2
        return w - lr * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + eps)

    return rule


MEMORY_FORMATS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("memory_format", MEMORY_FORMATS, ids=str)
def test_adam_follows_its_paper_whatever_the_strides_of_gradients(memory_format: torch.memory_format) -> None:
    """torch's fused kernel alone mixes up weights where strides differ; see ganlab.optimizers._align_gradients."""
    weights = parameters(memory_format)
    found = trained(adam(weights, lr=0.02, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1), weights)
    assert_close(found, by_hand(adam_rule(0.02, 0.5, 0.9, 1e-3, 0.1)))


@pytest.mark.parametrize("memory_format", MEMORY_FORMATS, ids=str)
def test_adamw_follows_its_paper_whatever_the_strides_of_gradients(memory_format: torch.memory_format) -> None:
    weights = parameters(memory_format)
    found = trained(adamw(weights, lr=0.02, betas=(0.0, 0.9), eps=1e-3, weight_decay=0.1), weights)
    assert_close(found, by_hand(adam_rule(0.02, 0.0, 0.9, 1e-3, 0.1, decoupled=True)))


def test_moments_of_a_checkpoint_may_have_other_strides_than_the_weights() -> None:
    weights = parameters()
    first = adam(weights, lr=0.02)
    trained(first, weights)
    others = parameters(torch.channels_last)
    with torch.no_grad():
        torch._foreach_copy_([*others], [*weights])
    second = adam(others, lr=0.02)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert_close(trained(second, others), trained(first, weights))


def test_rmsprop_divides_by_the_root_of_the_mean_square() -> None:
    def rule(w: Tensor, g: Tensor, t: int, memory: dict[str, Any]) -> Tensor:
        g = g + 0.1 * w
        square = memory["s"] = 0.8 * memory.get("s", 0) + 0.2 * g**2
        step = memory["b"] = 0.5 * memory.get("b", 0) + g / (square.sqrt() + 1e-3)
        return w - 0.02 * step

    weights = parameters()
    optimizer = rmsprop(weights, lr=0.02, alpha=0.8, eps=1e-3, momentum=0.5, weight_decay=0.1)
    assert_close(trained(optimizer, weights), by_hand(rule))


def test_sgd_with_momentum_and_decay_sums_gradients() -> None:
    def rule(w: Tensor, g: Tensor, t: int, memory: dict[str, Any]) -> Tensor:
        step = memory["b"] = 0.9 * memory.get("b", 0) + g + 0.1 * w
        return w - 0.02 * step

    weights = parameters(torch.channels_last)
    assert_close(trained(sgd(weights, lr=0.02, momentum=0.9, weight_decay=0.1), weights), by_hand(rule))


def test_whole_numbers_are_taken_as_numbers() -> None:
    """torch 2.15 refuses Adam(betas=(0, 0.99)) for its integer."""
    for make in (adam, adamw):
        weights = parameters()
        trained(make(weights, lr=1, betas=(0, 0.99), eps=1), weights)
    weights = parameters()
    trained(rmsprop(weights, lr=1, eps=1), weights)
    trained(sgd(weights, lr=0), weights)


def test_parameters_may_come_from_an_iterator_and_betas_from_a_list() -> None:
    optimizer = adam(iter(parameters()), betas=[0.5, 0.9])  # type: ignore[arg-type]
    assert len(optimizer.param_groups[0]["params"]) == len(SHAPES)


@pytest.mark.parametrize(
    ("make", "name"),
    [*itertools.product((adam, adamw, rmsprop, sgd), ("lr", "weight_decay")), (adam, "eps"), (rmsprop, "momentum")],
)
@pytest.mark.parametrize("value", [-1e-3, float("nan"), float("inf")])
def test_numbers_out_of_range_are_refused(make: Callable[..., torch.optim.Optimizer], name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be finite and at least 0, got"):
        make(parameters(), **{name: value})


def test_decays_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"betas\[1\] must be in \[0, 1\), got 1.0"):
        adam(parameters(), betas=(0.0, 1.0))
    with pytest.raises(ValueError, match="betas must be two numbers"):
        adamw(parameters(), betas=(0.9,))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"alpha must be in \[0, 1\)"):
        rmsprop(parameters(), alpha=1.5)
    with pytest.raises(ValueError, match="nesterov must come with a positive momentum"):
        sgd(parameters(), nesterov=True)
