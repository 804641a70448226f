"""DRAGAN: arXiv:1705.07215. The authors' own numbers are in test_authors.py."""

from typing import Any

import pytest
import torch
from support.rehearsals import GENERATOR, Linear, Quadratic, Rehearsal
from torch.testing import assert_close

from ganlab.regularizers.dragan import DRAGAN
from ganlab.testing import check_regularizer


@pytest.mark.parametrize("options", [{}, {"noise": "uniform"}, {"interval_steps": 3}, {"center": 0.0}], ids=str)
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    assert check_regularizer(DRAGAN(**options)) == []


@pytest.mark.parametrize("noise", ["gaussian", "uniform"])
def test_of_a_linear_discriminator_it_is_known(noise: str) -> None:
    """dD/du = w at every point: weight (||w|| - c)^2, with the gradient 2 weight (||w|| - c) w / ||w||."""
    play = Rehearsal(Linear((2, 4, 4)), DRAGAN(weight=7.0, center=0.8, noise=noise))
    w = play.discriminator.w
    norm, value = w.detach().norm(), play.term("dragan")
    assert_close(value, 7 * (norm - 0.8) ** 2)
    assert_close(torch.autograd.grad(value, w)[0], 14 * (norm - 0.8) * w.detach() / norm)
    assert play.terms(GENERATOR) == {}


@pytest.mark.parametrize("image_shape", [(3, 32, 32), (2,)])
def test_the_noise_is_gaussian_of_the_asked_size(image_shape: tuple[int, ...]) -> None:
    """delta / (scale · std of the batch) has the mean 0, the variance 1 and the kurtosis 3 of N(0, 1)."""
    regularizer = DRAGAN(scale=0.3)
    play = Rehearsal(Quadratic(image_shape), regularizer, image_shape=image_shape)
    view = play.view()
    (points,) = regularizer.at(view)
    assert points.images.requires_grad
    assert points.role == "perturbed"
    unit = (points.images.detach() - play.reals) / (0.3 * play.reals.std(unbiased=False))
    assert_close(unit, play.view().draw("dragan", play.reals.shape).double())
    if unit.numel() > 1000:
        for power, moment in ((1, 0.0), (2, 1.0), (4, 3.0)):
            assert abs(unit.pow(power).mean().item() - moment) < 0.25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "weight must be finite and at least 0"),
        ({"scale": -0.5}, "scale must be finite and at least 0"),
        ({"noise": "gauss"}, "noise must be one of gaussian, uniform, .* Did you mean 'gaussian'"),
        ({"interval_steps": 0}, "interval_steps must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DRAGAN(**options)
