"""WGAN-GP's penalty: arXiv:1704.00028, eq. 3."""

from typing import Any

import pytest
import torch
from support.rehearsals import DISCRIMINATOR, GENERATOR, Linear, Quadratic, Rehearsal
from torch.testing import assert_close

from ganlab.regularizers.gradient_penalty import GradientPenalty
from ganlab.regularizers.r1 import R1
from ganlab.regularizers.r2 import R2
from ganlab.regularizers.roth import Roth
from ganlab.regularizers.wgan_div import WGANDiv
from ganlab.testing import ToyDiscriminator, check_regularizer

POINTS = ["interpolated", "real", "fake", "real_and_fake"]


@pytest.mark.parametrize("points", POINTS)
def test_it_keeps_the_contract_at_any_points(points: str) -> None:
    assert check_regularizer(GradientPenalty(points=points)) == []


@pytest.mark.parametrize("options", [{"one_sided": True, "center": 0.2}, {"center": 0.0}, {"interval_steps": 3}])
def test_it_keeps_the_contract_with_any_option(options: dict[str, Any]) -> None:
    assert check_regularizer(GradientPenalty(**options)) == []


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("image_shape", [(2, 4, 4), (2,)])
@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_of_a_linear_discriminator_it_is_known(points: str, image_shape: tuple[int, ...], scale: float) -> None:
    """D(x) = w·x has dD/dx = w at every point: weight (||w|| - c)^2, with the gradient 2 weight (||w|| - c) w/||w||."""
    discriminator = Linear(image_shape)
    discriminator.w.data *= scale
    play = Rehearsal(discriminator, GradientPenalty(weight=7.0, center=0.8, points=points), image_shape=image_shape)
    w = play.discriminator.w
    norm = w.detach().norm()
    value = play.term("gradient_penalty")
    assert_close(value, 7 * (norm - 0.8) ** 2)
    assert_close(torch.autograd.grad(value, w)[0], 14 * (norm - 0.8) * w.detach() / norm)


@pytest.mark.parametrize(("size", "penalised"), [(0.5, False), (1.5, True)])
def test_one_sided_it_charges_norms_above_the_center_only(size: float, penalised: bool) -> None:
    play = Rehearsal(Linear((2, 4, 4)), GradientPenalty(one_sided=True))
    w = play.discriminator.w
    w.data *= size / w.data.norm()
    assert_close(play.term("gradient_penalty").item(), 10 * (size - 1) ** 2 if penalised else 0.0)


def test_center_0_at_reals_is_r1() -> None:
    """weight E||g||^2 with weight gamma/2. D = 1/2 w·x^2 has g = w x."""
    play = Rehearsal(Quadratic((2, 4, 4)), GradientPenalty(weight=3.0, center=0.0, points="real"))
    w = play.discriminator.w
    assert_close(play.term("gradient_penalty"), 3 * (w * play.reals).square().sum((1, 2, 3)).mean())


def test_it_equals_a_loop_over_interpolates_written_from_the_paper() -> None:
    """x^ = e x + (1 - e) x~, e ~ U[0, 1) one an image; lambda times the mean of (||grad D(x^)||_2 - 1)^2."""
    play = Rehearsal(ToyDiscriminator((2, 4, 4)), GradientPenalty())
    view = play.view()
    value = play.term("gradient_penalty", view=view)
    e = play.view().draw("interpolation", (6,), "uniform").double()
    fakes, total = view.fakes(grad=False).images.detach(), 0.0
    for i in range(6):
        x = (e[i] * play.reals[i] + (1 - e[i]) * fakes[i])[None].requires_grad_()
        (gradient,) = torch.autograd.grad(play.discriminator(x).sum(), x)
        total += float((gradient.square().sum().sqrt() - 1) ** 2) / 6
    assert_close(value.item(), 10 * total)


def test_a_gradient_of_zero_gives_finite_gradients() -> None:
    """At w = 0 the norm has no derivative; 0 is taken, where a plain root would give a NaN."""
    play = Rehearsal(Linear((2, 4, 4)), GradientPenalty())
    play.discriminator.w.data.zero_()
    value = play.term("gradient_penalty")
    assert_close(value.item(), 10.0)
    assert_close(torch.autograd.grad(value, play.discriminator.w)[0], torch.zeros(2, 4, 4).double())


def test_penalties_at_the_same_points_share_one_gradient() -> None:
    play = Rehearsal(Linear((2, 4, 4)), GradientPenalty(), GradientPenalty(center=0.0))
    view = play.view()
    calls: list[int] = []
    play.discriminator.register_forward_hook(lambda *_: calls.append(1))
    play.terms(view=view)
    assert len(calls) == 3  # reals, fakes, interpolates


def test_different_penalties_at_reals_and_fakes_share_the_main_passes_and_one_gradient_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    penalties = [R1(), R2(), WGANDiv(points="real_and_fake"), Roth(), GradientPenalty(points="real")]
    play = Rehearsal(Linear((2, 4, 4)), *penalties)
    passes: list[int] = []
    gradients: list[int] = []
    grad = torch.autograd.grad

    def counted(*arguments: Any, **options: Any) -> tuple[torch.Tensor, ...]:
        gradients.append(1)
        return grad(*arguments, **options)

    play.discriminator.register_forward_hook(lambda *_: passes.append(1))
    monkeypatch.setattr(torch.autograd, "grad", counted)
    assert set(play.terms()["discriminator"]) == {"r1", "r2", "wgan_div", "roth", "gradient_penalty"}
    assert (len(passes), len(gradients)) == (2, 2)


def test_it_is_no_term_in_turns_of_others() -> None:
    play = Rehearsal(Linear((2, 4, 4)), GradientPenalty())
    assert play.terms(GENERATOR) == {}


def test_a_lazy_one_has_a_turn_of_its_own_and_counts_as_often_as_it_is_left_out() -> None:
    """Every k-th iteration k times the penalty: the mean over k iterations is the penalty."""
    eager = Rehearsal(Linear((2, 4, 4)), GradientPenalty())
    lazy = Rehearsal(Linear((2, 4, 4)), GradientPenalty(interval_steps=4))
    assert lazy.terms(DISCRIMINATOR) == {}
    *_, turn = lazy.game.all_turns()
    assert (turn.players, turn.every, turn.reals) == (("discriminator",), 4, "same")
    assert lazy.game.players["discriminator"].lazy_steps == 1 / 4
    assert_close(lazy.term("gradient_penalty", turn) / 4, eager.term("gradient_penalty"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "weight must be finite and at least 0, got -1.0"),
        ({"center": float("nan")}, "center must be finite and at least 0"),
        ({"points": "interpolate"}, "points must be one of interpolated, real, .* Did you mean 'interpolated'?"),
        ({"interval_steps": 0}, "interval_steps must be at least 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GradientPenalty(**options)
