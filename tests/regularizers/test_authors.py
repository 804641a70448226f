"""Penalties against the authors' own code, gradients included: fixtures/make_penalties.py."""

import copy
from typing import Any

import pytest
import torch
from authors import ARRAYS, game, published, term_and_gradient, view_of
from support.rehearsals import DISCRIMINATOR
from torch import Tensor
from torch.nn.utils import stateless
from torch.testing import assert_close

from ganlab.contracts.regularizer import Regularizer
from ganlab.losses.gan_qp import GANQP
from ganlab.losses.hinge import Hinge
from ganlab.regularizers.consensus import Consensus
from ganlab.regularizers.dragan import DRAGAN
from ganlab.regularizers.gradient_penalty import GradientPenalty
from ganlab.regularizers.lipschitz_consistency import LipschitzConsistency
from ganlab.regularizers.locally_stable import LocallyStable
from ganlab.regularizers.r1 import R1
from ganlab.regularizers.r2 import R2
from ganlab.regularizers.roth import Roth
from ganlab.regularizers.wgan_div import WGANDiv

EXACT: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-12}


@pytest.mark.parametrize(
    ("name", "regularizer", "term", "factor"),
    [
        ("gradient_penalty", GradientPenalty(weight=10.0), "gradient_penalty", 10.0),
        ("wgan_div", WGANDiv(k=10.0), "wgan_div", 10.0),
        ("roth", Roth(gamma=0.3), "roth", 0.15),
        ("dragan", DRAGAN(noise="uniform"), "dragan", 10.0),
    ],
)
def test_a_gradient_penalty_is_the_authors(
    name: str, regularizer: DRAGAN | GradientPenalty | Roth | WGANDiv, term: str, factor: float
) -> None:
    for found, expected in zip(term_and_gradient(regularizer, term), published(name, factor), strict=True):
        assert_close(found, expected, **EXACT)


@pytest.mark.parametrize(("name", "margin"), [("ct", 0.0), ("ct with margin", 4.0)])
def test_ct_gans_consistency_is_the_authors(name: str, margin: float) -> None:
    """Two passes with the fixture's two masks. Their M' is subtracted after the factor 2: 8 = 2 · 4."""
    regularizer = LipschitzConsistency(margin=margin)
    found = term_and_gradient(regularizer, "lipschitz_consistency", masks=list(ARRAYS["masks"]))
    for mine, theirs in zip(found, published(name), strict=True):
        assert_close(mine, theirs, **EXACT)


def test_the_locally_stable_term_is_the_authors() -> None:
    found = term_and_gradient(LocallyStable(weight=0.7), "locally_stable", "generator")
    for mine, theirs in zip(found, published("locally_stable", 0.7), strict=True):
        assert_close(mine, theirs, **EXACT)


def test_consensus_optimization_is_the_authors() -> None:
    """Their move of each parameter: the player's own gradient plus alpha times that of half the squared norm."""
    moves = []
    for player in ("discriminator", "generator"):
        play = game()
        turn = next(t for t in play.all_turns() if t.has(player))
        own = view_of(play, (), turn).player_gradient(player)
        _, term = term_and_gradient(Consensus(gamma=3.0), "consensus", player)
        moves.append(torch.cat([g.flatten() for g in own]) + term)
    assert_close(torch.cat(moves), published("consensus")[1], **EXACT)


TRAINED_THROUGH = {
    "gradient_penalty": GradientPenalty(),
    "centre 0 at both": GradientPenalty(center=0.0, points="real_and_fake"),
    "r2": R2(),
    "one-sided": GradientPenalty(one_sided=True, center=0.3),
    "dragan": DRAGAN(),
    "r1": R1(),
    "wgan_div": WGANDiv(p=3.0),
    "wgan_div as published": WGANDiv(),
    "roth": Roth(),
    "consensus": Consensus(),
}


@pytest.mark.parametrize("name", TRAINED_THROUGH)
def test_a_term_has_right_first_and_second_derivatives_by_the_weights_that_it_trains(name: str) -> None:
    """Against differences of the term, and of its gradient, along random directions, in float64."""

    def term(*weights: Tensor) -> Tensor:
        play, regularizer = game(), copy.deepcopy(TRAINED_THROUGH[name])
        regularizer.attach(play)
        view = view_of(play, [regularizer])
        names = [f"discriminator.{part}" for part in ("weight", "bias", "output")]
        with stateless._reparametrize_module(play, dict(zip(names, weights, strict=True))):
            play.players["discriminator"].modules["discriminator"] = play.discriminator
            play.objective(DISCRIMINATOR, view)
            (value,) = regularizer.terms("discriminator", view).values()
        return value

    weights = [ARRAYS[part].clone().requires_grad_() for part in ("weight", "bias", "output")]
    assert torch.autograd.gradcheck(term, weights, fast_mode=True)
    assert torch.autograd.gradgradcheck(term, weights, fast_mode=True)


@pytest.mark.parametrize("regularizer", [LocallyStable(), Consensus()])
def test_a_term_of_the_generator_has_right_first_and_second_derivatives_by_its_weights(
    regularizer: Consensus | LocallyStable,
) -> None:

    def term(weight: Tensor) -> Tensor:
        play, attached = game(), copy.deepcopy(regularizer)
        attached.attach(play)
        turn = next(t for t in play.all_turns() if t.has("generator"))
        view = view_of(play, [attached], turn)
        with stateless._reparametrize_module(play, {"generator.generator": weight}):
            play.players["generator"].modules["generator"] = play.generator
            play.objective(turn, view)
            (value,) = attached.terms("generator", view).values()
        return value

    weight = ARRAYS["generator"].clone().requires_grad_()
    assert torch.autograd.gradcheck(term, weight, fast_mode=True)
    assert torch.autograd.gradgradcheck(term, weight, fast_mode=True)


IDENTITIES: dict[str, tuple[Regularizer, list[tuple[float, Regularizer]]]] = {
    "R1 is the gradient penalty of centre 0 at reals": (
        R1(3.0), [(1.0, GradientPenalty(weight=1.5, center=0.0, points="real"))]
    ),
    "R2 is that at fakes": (R2(3.0), [(1.0, GradientPenalty(weight=1.5, center=0.0, points="fake"))]),
    "wgan_div of power 2 at both is the mean of R1 and R2 of gamma 2 k": (
        WGANDiv(k=1.5, p=2.0, points="real_and_fake"), [(0.5, R1(3.0)), (0.5, R2(3.0))]
    ),
    "wgan_div of power 2 at interpolates is the gradient penalty of centre 0": (
        WGANDiv(k=1.5, p=2.0), [(1.0, GradientPenalty(weight=1.5, center=0.0))]
    ),
    "of divergence reverse_kl Roth's is R2": (Roth(3.0, "reverse_kl"), [(1.0, R2(3.0))]),
    "of pearson it is half of R2": (Roth(3.0, "pearson"), [(0.5, R2(3.0))]),
    "without noise DRAGAN is the gradient penalty at reals": (
        DRAGAN(scale=0.0), [(1.0, GradientPenalty(points="real"))]
    ),
    "one-sided at centre 0 is two-sided": (
        GradientPenalty(center=0.0, one_sided=True), [(1.0, GradientPenalty(center=0.0))]
    ),
    "at both it is the mean of either": (
        GradientPenalty(center=0.0, points="real_and_fake"),
        [(0.5, GradientPenalty(center=0.0, points="real")), (0.5, GradientPenalty(center=0.0, points="fake"))],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", IDENTITIES)
def test_penalties_that_are_the_same_are_the_same(name: str) -> None:
    def found(regularizer: Regularizer) -> Tensor:
        play, attached = game(Hinge()), copy.deepcopy(regularizer)
        attached.attach(play)
        view = view_of(play, [attached])
        play.objective(DISCRIMINATOR, view)
        (value,) = attached.terms("discriminator", view).values()
        slopes = torch.autograd.grad(value, list(play.discriminator.parameters()), allow_unused=True)
        return torch.cat([value.detach().view(1), *(g.flatten() for g in slopes if g is not None)])

    whole, parts = IDENTITIES[name]
    assert_close(found(whole), torch.stack([share * found(part) for share, part in parts]).sum(0))


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_gan_qp_is_the_authors(distance: str) -> None:
    play = game(GANQP(distance=distance))
    for player, name in (("discriminator", f"gan_qp {distance}"), ("generator", f"gan_qp {distance} of G")):
        turn = next(t for t in play.all_turns() if t.has(player))
        value = play.objective(turn, view_of(play, (), turn))[player]["adversarial"]
        gradients = torch.autograd.grad(value, list(play.players[player].parameters()))
        assert_close(torch.cat([g.flatten() for g in gradients]), published(name)[1], **EXACT)
        if player == "discriminator":
            assert_close(value.detach(), published(name)[0], **EXACT)
        else:  # the game gives the generator no real logits, a constant of its loss
            real = play.discriminator(ARRAYS["real"]).mean().detach()
            assert_close(value.detach() + real, published(name)[0], **EXACT)
