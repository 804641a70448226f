"""Roth's regularizer: arXiv:1705.09367. The authors' own numbers are in test_authors.py."""

from typing import Any

import pytest
import torch
from support.rehearsals import GENERATOR, Quadratic, Rehearsal
from torch.testing import assert_close

from ganlab.core.errors import GanlabError
from ganlab.losses.f_gan import DIVERGENCES, FGAN
from ganlab.losses.hinge import Hinge
from ganlab.regularizers.roth import WEIGHTS, Roth
from ganlab.testing import check_regularizer


@pytest.mark.parametrize("divergence", [None, *(d for d in WEIGHTS if d != "js")])
def test_it_keeps_the_contract(divergence: str | None) -> None:
    """The toy game has the non-saturating loss, which is the bound of js."""
    skipped = check_regularizer(Roth(divergence=divergence))
    assert len(skipped) == (0 if divergence is None else 2)
    assert all("but the loss is the bound of js" in reason for reason in skipped)


def rehearsal(divergence: str, **options: Any) -> tuple[Rehearsal[Quadratic], Roth]:
    play = Rehearsal(Quadratic((2, 4, 4)), loss=FGAN(divergence))
    regularizer = Roth(**options)
    regularizer.attach(play.game)
    play.regularizers = (regularizer,)
    play.discriminator.w.data *= 0.3
    return play, regularizer


def test_js_is_a_sum_over_both_kinds_of_images() -> None:
    """gamma/2 (E[(1 - s(D))^2 ||w x||^2] + E[s(D)^2 ||w G||^2]), image by image, and its gradient."""
    play, _ = rehearsal("js", gamma=0.6)
    w, view = play.discriminator.w, play.view()
    value = play.term("roth", view=view)
    expected = torch.zeros((), dtype=torch.float64)
    for images, sign in ((play.reals, -1), (view.fakes(grad=False).images.detach(), 1)):
        for x in images:
            logit = (w * x.square()).sum() / 2
            expected = expected + 0.3 * torch.sigmoid(sign * logit) ** 2 * (w * x).square().sum() / 6
    assert_close(value, expected)
    assert_close(*(torch.autograd.grad(v, w, retain_graph=True)[0] for v in (value, expected)))
    assert play.terms(GENERATOR) == {}


@pytest.mark.parametrize("divergence", [d for d in WEIGHTS if d != "js"])
def test_of_any_divergence_it_is_the_conjugates_curvature_times_the_squared_slope_of_the_bound(divergence: str) -> None:
    """gamma/2 E[f*''(t) ||grad t||^2] at t = g(D(x)): f*'' from the table, grad t by autograd through g."""
    curvature = {
        "kl": lambda t: torch.exp(t - 1), "reverse_kl": lambda t: t**-2, "pearson": lambda t: 0 * t + 0.5,
        "hellinger": lambda t: 2 / (1 - t) ** 3,
    }[divergence]  # fmt: skip
    play, _ = rehearsal(divergence, gamma=0.6)
    view, d = play.view(), play.discriminator
    value = play.term("roth", view=view)
    x = view.fakes(grad=False).images.detach().clone().requires_grad_()
    t = DIVERGENCES[divergence].activation(d(x))
    (slope,) = torch.autograd.grad(t.sum(), x, create_graph=True)
    expected = 0.3 * (curvature(t) * slope.square().sum((1, 2, 3))).mean()
    assert_close(value, expected)
    assert_close(*(torch.autograd.grad(v, d.w, retain_graph=True)[0] for v in (value, expected)))


def test_the_curvature_of_js_has_the_same_expectation_at_the_best_discriminator() -> None:
    """With D = log(p / q), E_q[s(D) g] = E_p[(1 - s(D))^2 g] + E_q[s(D)^2 g] for any g: s = p / (p + q)."""
    p, q, g = torch.tensor([[0.2, 0.5, 0.3], [0.4, 0.25, 0.35], [1.0, 2.0, 0.3]]).double()
    s = torch.sigmoid((p / q).log())
    assert_close((q * s * g).sum(), (p * (1 - s) ** 2 * g + q * s**2 * g).sum())


def test_gamma_may_follow_the_papers_annealing() -> None:
    """gamma_0 · 0.01^(t / T), as an exponential schedule."""
    from ganlab.core import schedules

    schedule = schedules.parse({"from": 0.1, "to": 0.001, "end_steps": 10, "shape": "exponential"}, 1)
    for t in (0, 3, 10):
        assert_close(schedule(t), 0.1 * 0.01 ** (t / 10))
    play, regularizer = rehearsal("js", gamma=0.6)
    first = play.term("roth")
    regularizer.gamma = 0.06
    assert_close(play.term("roth"), first / 10)


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        (Hinge(), {}, "the loss names none: take loss=non_saturating, minimax or f_gan, or say"),
        (FGAN("kl"), {"divergence": "js"}, "reg.roth.divergence=js, but the loss is the bound of kl: leave it out"),
        (FGAN("total_variation"), {}, "no effect on total_variation, whose conjugate is linear"),
    ],
)
def test_losses_that_it_says_nothing_about_are_refused(
    loss: FGAN | Hinge, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(GanlabError, match=message):
        Roth(**options).attach(Rehearsal(Quadratic((2, 4, 4)), loss=loss).game)


def test_who_says_a_divergence_may_have_any_loss() -> None:
    Roth(divergence="js").attach(Rehearsal(Quadratic((2, 4, 4)), loss=Hinge()).game)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": -1.0}, "gamma must be finite and at least 0"),
        ({"divergence": "total_variation"}, "divergence must be one of js, kl"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Roth(**options)
