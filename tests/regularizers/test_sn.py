"""Spectral normalization as a regularizer; its arithmetic is tested with the layer."""

from functools import partial

import pytest
import torch
from engine import D, Engine, G
from rehearsals import DISCRIMINATOR, GENERATOR, Rehearsal
from torch import nn
from torch.testing import assert_close

from ganlab import randomness
from ganlab.contract import UPDATES, Game
from ganlab.errors import GanlabError
from ganlab.games.standard import Standard
from ganlab.layers import spectral_norm, state
from ganlab.losses.hinge import Hinge
from ganlab.regularizers.sn import SpectralNormalization
from ganlab.regularizers.vib import VariationalInformationBottleneck
from ganlab.testing import ToyDiscriminator, check_regularizer, toy_game


@pytest.mark.parametrize("players", [("discriminator",), ("discriminator", "generator")])
def test_it_keeps_the_contract(players):
    assert check_regularizer(SpectralNormalization(players=players)) == []


def test_after_many_iterations_every_weight_has_largest_singular_value_one():
    game = toy_game()
    SpectralNormalization(iterations=200).attach(game)
    discriminator = game.discriminator
    for layer in (discriminator.body, discriminator.output):
        assert_close(torch.linalg.matrix_norm(layer.weight.flatten(1), 2), torch.tensor(1.0), rtol=1e-5, atol=0)


def test_it_normalizes_the_layers_of_a_network_that_knows_nothing_of_it():
    class Foreign(nn.Sequential):
        pass

    network = Foreign(nn.Conv2d(3, 4, 4, stride=4), nn.Flatten(), nn.Linear(16, 1), nn.Flatten(0))
    game = toy_game()
    game.discriminator = network
    game.players["discriminator"].modules["discriminator"] = network
    SpectralNormalization().attach(game)
    assert len(spectral_norm.attached(network)) == 2
    assert network(torch.zeros(5, 3, 8, 8)).shape == (5,)
    assert not spectral_norm.attached(game.generator)


def test_vectors_move_in_the_players_own_turn_once_a_micro_batch():
    play = Rehearsal(ToyDiscriminator((2, 4, 4)), SpectralNormalization())

    def vectors():
        return [buffer.clone() for name, buffer in play.game.discriminator.named_buffers() if name.endswith(".u")]

    def iterated():
        with torch.no_grad():
            weight = play.game.discriminator.body.parametrizations.weight.original.flatten(1)
            v = nn.functional.normalize(weight.T @ vectors()[0], dim=0)
            return nn.functional.normalize(weight @ v, dim=0)

    before, expected = vectors(), iterated()
    for turn in (DISCRIMINATOR, GENERATOR):
        view = play.view(turn)
        with randomness.using(view.stream), state.moving(False):
            play.game.objective(turn, view)
        assert_close(vectors()[0], expected)  # moved by the first turn, one iteration; not by the second
    assert len(before) == 2


def test_modules_that_other_regularizers_add_stay_as_they_are_in_any_order():
    for order in ((0, 1), (1, 0)):
        game, both = toy_game(), [SpectralNormalization(), VariationalInformationBottleneck(channels=3)]
        for i in order:
            both[i].attach(game)
        assert spectral_norm.attached(game.discriminator)
        assert not spectral_norm.attached(both[1])


def test_a_player_without_weights_is_refused():
    class Scale(Game):
        def __init__(self):
            super().__init__()
            self.discriminator = nn.BatchNorm1d(2)
            self.seat("discriminator", discriminator=self.discriminator)

    with pytest.raises(GanlabError, match="reg=sn finds no weights to normalize in the discriminator"):
        SpectralNormalization().attach(Scale())
    with pytest.raises(GanlabError, match=r"reg.sn.players: this game has no player 'encoder'"):
        SpectralNormalization(players=("encoder",)).attach(toy_game())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"eps": 0.0}, "eps must be positive and finite, got 0.0"),
        ({"players": ("discriminator", "discriminator")}, "each once"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SpectralNormalization(**options)


@pytest.mark.parametrize("update", UPDATES)
def test_iterating_only_after_a_change_gives_the_same_weights(update: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fused Adam changes weights without counting their versions: simultaneous steps would be overlooked."""

    def train() -> list[torch.Tensor]:
        torch.manual_seed(0)
        game = Standard(generator=G(), discriminator=D(), loss=Hinge(), update=update)
        sn = SpectralNormalization(players=("discriminator", "generator"))
        engine = Engine(game, {"sn": sn}, rate=0.1, optimizer=partial(torch.optim.Adam, fused=True), accumulate=2)
        for _ in range(3):
            engine.iterate()
        return [tensor.clone() for tensor in game.state_dict().values()]

    fast = train()
    iterate, asked = spectral_norm.power_iterate, []

    def always(parametrizations, *, unchanged=False):
        asked.append(unchanged)
        iterate(parametrizations)

    monkeypatch.setattr(spectral_norm, "power_iterate", always)
    assert all(torch.equal(a, b) for a, b in zip(fast, train(), strict=True))
    assert any(asked) == (update == "alternating")
