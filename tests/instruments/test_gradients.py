"""Gradients of players and layers, in closed form."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import torch
from support.instruments import Network, Parts, measured, subject
from torch import Tensor, nn

from ganlab.contracts.instrument import Step
from ganlab.instruments.gradients import Gradients


def step(
    instrument: Gradients, player: str, network: nn.Module, gradients: list[Tensor], limit: float | None = None
) -> None:
    """Take a step of gradient descent with the rate 1."""
    parameters = list(network.parameters())
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    with ExitStack() as stack, torch.no_grad():
        stack.enter_context(instrument.observe(Step(player, parameters, limit)))
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.sub_(gradient)


def test_norms_ratios_and_the_cosine_of_two_steps() -> None:
    """Weight (3, 0) and bias 4: the layer's norm is 5. Gradients (0, 3; 4) of norm 5, then (0, 0; 1), from the weights
    (3, -3; 0): norm 1, √18. The steps have the cosine 4·1 / (5·1)."""
    layer = nn.Linear(2, 1)
    layer.weight.data, layer.bias.data = torch.tensor([[3.0, 0.0]]), torch.tensor([4.0])
    game, instrument = Parts(generator=Network(layer)), Gradients()
    instrument.prepare(subject(game))
    step(instrument, "generator", game.generator, [torch.tensor([[0.0, 3.0]]), torch.tensor([4.0])], limit=2.0)  # type: ignore[arg-type]
    step(instrument, "generator", game.generator, [torch.tensor([[0.0, 0.0]]), torch.tensor([1.0])], limit=2.0)  # type: ignore[arg-type]
    found = measured(instrument, subject(game))
    assert found == pytest.approx(
        {
            "generator/norm": 3.0,
            "generator/layers.0/norm": 3.0,
            "generator/layers.0/ratio": (5 / 5 + 1 / 18**0.5) / 2,
            "generator/cosine": 0.8,
            "generator/clipped": 0.5,
        }
    )
    assert measured(instrument, subject(game)) == {}, "each measurement begins anew"


def test_players_and_layers_have_their_own_numbers_and_a_step_of_zeros_has_the_cosine_zero() -> None:
    game = Parts(generator=Network(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)), critic=nn.Linear(1, 1))
    instrument = Gradients()
    instrument.prepare(subject(game))
    for _ in range(2):
        step(instrument, "generator", game.generator, [torch.tensor([[3.0]]), torch.tensor([[4.0]])])  # type: ignore[arg-type]
        step(instrument, "critic", game.critic, [torch.tensor([[0.0]]), torch.tensor([0.0])])  # type: ignore[arg-type]
    found = measured(instrument, subject(game))
    names = ("norm", "layers.0/norm", "layers.1/norm", "cosine")
    assert [found[f"generator/{name}"] for name in names] == pytest.approx([5.0, 3.0, 4.0, 1.0])
    assert found["critic/critic/norm"] == 0.0
    assert found["critic/cosine"] == 0.0
    assert "generator/clipped" not in found


def test_what_it_has_seen_of_half_a_measurement_is_its_state() -> None:
    torch.manual_seed(0)
    game = Parts(generator=Network(nn.Linear(2, 2)))
    first, second = Gradients(), Gradients()
    for instrument in (first, second):
        instrument.prepare(subject(game))
    assert first.state_dict() == {}
    step(first, "generator", game.generator, [torch.randn(2, 2), torch.randn(2)])  # type: ignore[arg-type]
    second.load_state_dict(first.state_dict())
    gradients = [torch.randn(2, 2), torch.randn(2)]
    weights = {name: tensor.clone() for name, tensor in game.state_dict().items()}
    step(first, "generator", game.generator, gradients)  # type: ignore[arg-type]
    game.load_state_dict(weights)
    step(second, "generator", game.generator, gradients)  # type: ignore[arg-type]
    one = measured(first, subject(game))
    assert one == measured(second, subject(game))
    assert "generator/cosine" in one
