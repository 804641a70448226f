"""The Wasserstein divergence: arXiv:1712.01026, eq. 9."""

from typing import Any

import pytest
import torch
from support.rehearsals import Linear, Quadratic, Rehearsal
from torch.testing import assert_close

from ganlab.regularizers.r1 import R1
from ganlab.regularizers.wgan_div import WGANDiv
from ganlab.testing import check_regularizer

POINTS = ["interpolated", "real_and_fake", "real", "fake"]


@pytest.mark.parametrize("points", POINTS)
def test_it_keeps_the_contract(points: str) -> None:
    assert check_regularizer(WGANDiv(points=points)) == []


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("p", [1.5, 2.0, 6.0])
def test_of_a_linear_discriminator_it_is_known(points: str, p: float) -> None:
    """k ||w||^p, with the gradient k p ||w||^(p - 2) w, wherever the points are."""
    play = Rehearsal(Linear((2, 4, 4)), WGANDiv(k=0.3, p=p, points=points))
    w = play.discriminator.w
    w.data *= 0.4
    norm = w.detach().norm()
    value = play.term("wgan_div")
    assert_close(value, 0.3 * norm**p)
    assert_close(torch.autograd.grad(value, w)[0], 0.3 * p * norm ** (p - 2) * w.detach())


def test_real_and_fake_is_half_of_the_sum_of_both() -> None:
    """The port's k/2 E[||g_real||^p + ||g_fake||^p]; D = 1/2 w·x^2 has g = w x."""
    play = Rehearsal(Quadratic((2, 4, 4)), WGANDiv(points="real_and_fake"))
    w, view = play.discriminator.w.detach(), play.view()
    value = play.term("wgan_div", view=view)
    norms = [[float((w * x).norm()) for x in images] for images in (play.reals, view.fakes(grad=False).images.detach())]
    assert_close(value.item(), sum(n**6 for kind in norms for n in kind) / 6)


def test_with_power_two_at_reals_it_is_r1_of_twice_the_factor() -> None:
    div, r1 = (
        Rehearsal(Quadratic((2, 4, 4)), WGANDiv(k=1.5, p=2, points="real")),
        Rehearsal(Quadratic((2, 4, 4)), R1(3.0)),
    )
    assert_close(div.term("wgan_div"), r1.term("r1"))


@pytest.mark.parametrize("p", [1.5, 6.0])
def test_a_gradient_of_zero_gives_finite_gradients(p: float) -> None:
    play = Rehearsal(Linear((2, 4, 4)), WGANDiv(p=p))
    play.discriminator.w.data.zero_()
    value = play.term("wgan_div")
    assert_close(value.item(), 0.0)
    assert_close(torch.autograd.grad(value, play.discriminator.w)[0], torch.zeros(2, 4, 4).double())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p": 1.0}, "p must be finite and above 1, got 1.0"),
        ({"k": -2.0}, "k must be finite and at least 0, got -2.0"),
        ({"points": "reals"}, "points must be one of"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WGANDiv(**options)
