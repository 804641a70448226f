"""Entropy of the generator by mutual information: arXiv:1901.08508, eqs. 4 to 6."""

import math
from typing import Any

import pytest
import torch
from support.gradients import gradient
from support.rehearsals import DISCRIMINATOR, GENERATOR, Rehearsal
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from ganlab.contracts import compatibility
from ganlab.core.errors import GanlabError
from ganlab.games.meg import MEG
from ganlab.regularizers.entropy import Entropy, ignorance, permuted
from ganlab.testing import ToyDiscriminator, check_regularizer, toy_game


def test_it_keeps_the_contract() -> None:
    assert check_regularizer(Entropy(width=3)) == []


def test_it_is_binary_cross_entropy_of_true_and_false_pairs() -> None:
    """Half of what two calls of torch's give, at logits of ±40 too."""
    joint, product = torch.tensor([0.3, -40.0, 40.0], dtype=torch.float64), torch.tensor([1.0, -2.0, 40.0]).double()
    expected = (
        F.binary_cross_entropy_with_logits(joint, torch.ones(3).double())
        + F.binary_cross_entropy_with_logits(product, torch.zeros(3).double())
    ) / 2
    assert_close(ignorance(joint, product), expected)
    assert_close(ignorance(torch.zeros(3), torch.zeros(5)).item(), math.log(2))


def test_the_best_statistics_find_the_jensen_shannon_divergence() -> None:
    """x = z of two equally likely values: the joint has 1/2 on the diagonal, the product 1/4 everywhere; T* is the log
    of their ratio, 2 or 0. With T = t on the diagonal and -s elsewhere, s -> infinity, log 2 - L is the divergence
    JS = 1/2 KL(P||M) + 1/2 KL(Q||M) at t = log 2."""
    p, q = torch.tensor([0.5, 0.5, 0.0, 0.0]).double(), torch.full((4,), 0.25).double()
    m = (p + q) / 2
    js = (torch.xlogy(p, p / m).sum() + torch.xlogy(q, q / m).sum()) / 2
    best = torch.tensor([math.log(2)] * 2 + [-60.0] * 2).double()
    assert_close(math.log(2) - ignorance(best[:2], best), js)
    for worse in (best + 0.1, best - 0.1):
        assert math.log(2) - ignorance(worse[:2], worse) < js


def test_the_term_pairs_images_with_their_latents_and_with_those_of_others() -> None:
    regularizer = Entropy(weight=0.7, width=3)
    play = Rehearsal(ToyDiscriminator((2, 8, 8)), regularizer, image_shape=(2, 8, 8))
    view, keyed = play.view(GENERATOR), play.view(GENERATOR)
    found = play.terms(GENERATOR, view=view)["generator"]["entropy"]
    x, z = view.fakes().images, view.z
    order = keyed.draw("order of codes", (6,), "uniform").argsort()
    assert sorted(order.tolist()) == list(range(6))
    assert_close(permuted(z, play.view(GENERATOR)), z[order])
    expected = 0.7 * ignorance(regularizer.statistics(x, z), regularizer.statistics(x, z[order]))
    assert_close(found, expected)
    found.backward()
    assert gradient(play.generator.linear.weight).any()
    assert play.terms(DISCRIMINATOR) == {}


def test_its_network_is_trained_with_the_generator() -> None:
    regularizer = Entropy(width=3)
    play = Rehearsal(ToyDiscriminator((2, 8, 8)), regularizer, image_shape=(2, 8, 8))
    parameters = list(play.game.players["generator"].parameters())
    assert all(any(p is q for q in parameters) for p in regularizer.statistics.parameters())


def test_maximum_entropy_generators_have_it_already() -> None:
    game, Maker = type("Game", (), {"provides": MEG.provides}), type("Maker", (), {"latent_dim": 3})
    (reason,) = compatibility.refusals({"game=meg": game, "generator=mlp": Maker, "reg=entropy": Entropy()})
    assert reason == "reg=entropy does not go with game=meg: this game maximises the generator's entropy already."


def test_a_generator_that_does_not_say_its_shapes_is_refused() -> None:
    game = toy_game()
    game.generator = nn.Linear(2, 2)
    with pytest.raises(GanlabError, match="give it the attributes image_shape and latent_dim"):
        Entropy().attach(game)


@pytest.mark.parametrize(
    ("options", "message"), [({"weight": -1.0}, "weight must be finite"), ({"width": 0}, "width must be at least 1")]
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Entropy(**options)
