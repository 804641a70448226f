"""Consensus optimization: arXiv:1705.10461. The authors' own moves are in test_authors.py."""

import copy

import pytest
import torch
from support.engine import Engine, flat, pair, points
from support.rehearsals import Linear, Rehearsal
from torch.nn import functional as F
from torch.testing import assert_close

from ganlab.core.errors import GanlabError
from ganlab.games.standard import Standard
from ganlab.losses.non_saturating import NonSaturating
from ganlab.regularizers.consensus import Consensus
from ganlab.testing import check_regularizer


def test_it_keeps_the_contract() -> None:
    assert check_regularizer(Consensus(gamma=0.5)) == []


def test_it_is_half_of_gamma_times_the_squared_norm_of_all_gradients_in_every_turn() -> None:
    play = Rehearsal(Linear((2, 4, 4)), Consensus(gamma=3.0))
    for turn in play.game.all_turns():
        view = play.view(turn)
        (player,) = turn.players
        value = play.terms(turn, view=view)[player]["consensus"]
        d, g = play.discriminator, play.generator
        fake = g(view.z)
        d_loss = F.softplus(-d(play.reals)).mean() + F.softplus(d(fake)).mean()
        g_loss = F.softplus(-d(fake)).mean()
        v = [*torch.autograd.grad(d_loss, list(d.parameters()), create_graph=True)]
        v += torch.autograd.grad(g_loss, list(g.parameters()), create_graph=True)
        expected = 1.5 * torch.stack([t.square().sum() for t in v]).sum()
        assert_close(value, expected)
        mine, theirs = (torch.autograd.grad(t, list(play.game.players[player].parameters())) for t in (value, expected))
        for found, wanted in zip(mine, theirs, strict=True):
            assert_close(found, wanted)


@pytest.mark.parametrize("update", ["alternating", "simultaneous"])
def test_the_engine_steps_along_it_from_the_standard_game(update: str) -> None:
    """The first step of the discriminator, with weights of the generator that do not take part in the turn."""
    generator, discriminator = pair()
    d, g = copy.deepcopy(discriminator), copy.deepcopy(generator)
    game = Standard(generator=generator, discriminator=discriminator, loss=NonSaturating(), update=update)
    engine = Engine(game, {"consensus": Consensus(gamma=2.0)}, rate=0.1)
    engine.iterate()
    fake = g(engine.z(0))
    d_loss = F.softplus(-d(points(0))).mean() + F.softplus(d(fake)).mean()
    v = [*torch.autograd.grad(d_loss, list(d.parameters()), create_graph=True)]
    v += torch.autograd.grad(F.softplus(-d(fake)).mean(), list(g.parameters()), create_graph=True)
    total = d_loss + sum(t.square().sum() for t in v)
    assert engine.gradients[0][0] == "discriminator"
    assert_close(engine.gradients[0][1], flat(torch.autograd.grad(total, list(d.parameters()))))
    assert [turn.reals for turn in engine.turns_played] == ["fresh", "same"]


def test_a_generator_with_another_batch_is_refused() -> None:
    generator, discriminator = pair()
    game = Standard(generator=generator, discriminator=discriminator, loss=NonSaturating(), generator_batch=2.0)
    with pytest.raises(GanlabError, match=r"its turn makes 2 times the batch: set game.generator_batch=1"):
        Consensus().attach(game)


def test_compiled_networks_are_refused() -> None:
    generator, discriminator = pair()
    game = Standard(generator=generator, discriminator=discriminator, loss=NonSaturating())
    with pytest.raises(GanlabError, match=r"reg=consensus differentiates the networks twice, .* set compile=false"):
        Engine(game, {"consensus": Consensus()}, compile=True)


def test_a_negative_gamma_is_refused() -> None:
    with pytest.raises(ValueError, match="gamma must be finite and at least 0"):
        Consensus(gamma=-1.0)
