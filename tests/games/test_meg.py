"""MEG against the authors' code: the gradients with which energy, generator and statistics network step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from meg_parts import ORDER, codes, images, networks, thinned
from torch import Tensor

from ganlab.contracts.turn import Turn
from ganlab.contracts.view import View
from ganlab.core import randomness
from ganlab.games.meg import MEG
from ganlab.testing.toys import toy_view

EXPECTED = np.load(Path(__file__).parent / "fixtures" / "meg.npz")


def view_of(game: MEG, turn: Turn) -> View:
    """A micro-batch on the codes of the fixture, in its order."""
    view = toy_view(game, [], turn, reals=images())
    view._cache["z"] = codes()

    def draw(purpose: str, shape: Sequence[int], distribution: Any = "normal") -> Tensor:
        assert (purpose, tuple(shape)) == ("order of codes", (len(ORDER),))
        return torch.tensor(ORDER, dtype=torch.float32).argsort() / 10  # whose order is ORDER

    view.draw = draw  # type: ignore[method-assign]
    return view


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_the_players_step_with_the_gradients_of_the_authors_code(player: str) -> None:
    generator, energy, statistics = networks()
    game = MEG(generator=generator, discriminator=energy, statistics=statistics, per_pixel=True)
    turn = next(turn for turn in game.turns() if turn.has(player))
    view = view_of(game, turn)
    with randomness.using(view.stream):
        terms = game.objective(turn, view)[player]
        torch.stack(list(terms.values())).sum().backward()
    trained = {"energy": energy} if player == "discriminator" else {"generator": generator, "statistics": statistics}
    for name, network in trained.items():
        found = thinned([p.grad for p in network.parameters()])  # type: ignore[misc]
        expected = EXPECTED[f"{'energy' if player == 'discriminator' else 'generator'}/{name}"]
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert error < 1e-5, (name, error)


def test_the_score_penalty_is_that_of_the_whole_image_unless_it_is_asked_for_by_the_pixel() -> None:
    found = []
    for per_pixel in (False, True):
        generator, energy, statistics = networks()
        game = MEG(generator=generator, discriminator=energy, statistics=statistics, per_pixel=per_pixel)
        turn = game.turns()[0]
        found.append(float(game.objective(turn, view_of(game, turn))["discriminator"]["score"].detach()))
    x = images().requires_grad_()
    (gradient,) = torch.autograd.grad(energy(x).sum(), x)
    assert found[0] == pytest.approx(float(10 * gradient.square().sum() / len(x)), rel=1e-5)
    assert found[0] == pytest.approx(8 * 8 * found[1], rel=1e-5)


def test_a_statistics_network_that_knows_nothing_costs_log_2() -> None:
    generator, energy, statistics = networks()
    output: Any = statistics.output
    torch.nn.init.zeros_(output.weight)
    torch.nn.init.zeros_(output.bias)
    game = MEG(generator=generator, discriminator=energy, statistics=statistics)
    turn = game.turns()[1]
    assert float(game.objective(turn, view_of(game, turn))["generator"]["information"].detach()) == pytest.approx(
        math.log(2)
    )


@pytest.mark.parametrize("options", [{"discriminator_steps": 0}, {"score_penalty": -1.0}, {"information": math.inf}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    generator, energy, statistics = networks()
    with pytest.raises(ValueError, match=next(iter(options))):
        MEG(generator=generator, discriminator=energy, statistics=statistics, **options)
