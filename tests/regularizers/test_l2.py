"""The L2 penalty on weights."""

from typing import Any

import pytest
import torch
from support.gradients import gradient
from support.rehearsals import DISCRIMINATOR, GENERATOR, change_gradients
from torch import Tensor
from torch.testing import assert_close

from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Turn
from ganlab.core.errors import GanlabError
from ganlab.regularizers.l2 import L2
from ganlab.regularizers.sn import SpectralNormalization
from ganlab.regularizers.vib import VariationalInformationBottleneck
from ganlab.testing import check_regularizer, toy_game

BOTH = ("discriminator", "generator")


def added(regularizer: Regularizer, game: Game, turn: Turn = DISCRIMINATOR) -> dict[str, Tensor]:
    """Return the numbers added to gradients of zero of all players of the turn, by name."""
    own = {player: list(game.players[player].parameters()) for player in turn.players}
    for parameter in (p for parameters in own.values() for p in parameters):
        parameter.grad = torch.zeros_like(parameter)
    gradients = {player: [gradient(p) for p in parameters] for player, parameters in own.items()}
    change_gradients(game, regularizer, turn, gradients)
    mine = {id(p) for parameters in own.values() for p in parameters}
    return {name: gradient(p) for name, p in game.named_parameters() if id(p) in mine}


def test_it_keeps_the_contract() -> None:
    assert check_regularizer(L2(weight=0.1, players=BOTH, vectors=True)) == []


@pytest.mark.parametrize("vectors", [False, True])
def test_it_adds_the_gradient_that_autograd_finds_for_the_sum_of_squares(vectors: bool) -> None:
    game, regularizer = toy_game(), L2(weight=0.3, players=BOTH, vectors=vectors)
    regularizer.attach(game)
    weights = {n: p for n, p in game.named_parameters() if vectors or p.ndim > 1}
    total = torch.stack([(0.3 * w.square()).sum() for w in weights.values()]).sum()
    expected = dict(zip(weights, torch.autograd.grad(total, list(weights.values())), strict=True))
    for turn, player in ((DISCRIMINATOR, "discriminator"), (GENERATOR, "generator")):
        for name, slope in added(regularizer, game, turn).items():
            assert name.startswith(player)
            assert_close(slope, expected.get(name, torch.zeros_like(slope)))


def test_the_other_player_and_lazy_turns_are_left_alone() -> None:
    game, regularizer = toy_game(), L2(weight=1.0)
    regularizer.attach(game)
    assert not any(g.any() for g in added(regularizer, game, GENERATOR).values())
    assert not any(g.any() for g in added(regularizer, game, Turn(("discriminator",), every=2, name="r1")).values())
    assert any(g.any() for g in added(regularizer, game, Turn(BOTH)).values())


def test_it_acts_on_weights_before_spectral_norm_and_not_on_modules_of_other_regularizers() -> None:
    for order in (0, 1), (1, 0):
        game = toy_game()
        l2, vib = L2(weight=0.5), VariationalInformationBottleneck(channels=3)
        all_three = (l2, SpectralNormalization(), vib)
        for i in (*order, 2):
            all_three[i].attach(game)
        found = added(l2, game)
        for name in ("body", "output"):
            original = f"discriminator.{name}.parametrizations.weight.original"
            assert_close(found[original], game.get_parameter(original).detach())
        bottleneck = {id(p) for p in vib.bottleneck.parameters()}
        assert not any(gradient(p).any() for p in game.players["discriminator"].parameters() if id(p) in bottleneck)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "weight must be finite and at least 0, got -1"),
        ({"weight": float("nan")}, "weight must be finite"),
        ({"players": ()}, "players must name at least one player"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        L2(**options)


def test_a_player_that_the_game_lacks_is_refused() -> None:
    with pytest.raises(GanlabError, match=r"reg\.l2\.players: this game has no player 'encoder'"):
        L2(players=("encoder",)).attach(toy_game())
