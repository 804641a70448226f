"""Instance noise: arXiv:1610.04490."""

import pytest
import torch
from support.rehearsals import GENERATOR, Linear, Rehearsal
from torch.testing import assert_close

from ganlab.regularizers.instance_noise import InstanceNoise
from ganlab.testing import check_regularizer


def test_it_keeps_the_contract() -> None:
    assert check_regularizer(InstanceNoise()) == []


@pytest.mark.parametrize("std", [0.0, 0.3])
def test_reals_and_fakes_get_noise_of_that_size_in_the_turns_of_both(std: float) -> None:
    """D(x) = w·x sees x + std e: the logits differ by std w·e, with the keyed e of each role."""
    play = Rehearsal(Linear((2, 4, 4)), InstanceNoise(std=std))
    w = play.discriminator.w
    for turn in (None, GENERATOR):
        view, key = (play.view(), play.view()) if turn is None else (play.view(turn), play.view(turn))
        for points in [view.fakes()] + ([view.reals] if turn is None else []):
            noise = key.draw(f"instance noise on {points.role}", points.images.shape).double()
            moved = std * (w * noise).sum((1, 2, 3))
            assert_close(view.logits(points), play.discriminator(points.images) + moved)


def test_the_noise_is_standard_normal_times_std() -> None:
    play = Rehearsal(Linear((3, 32, 32)), InstanceNoise(std=0.5), image_shape=(3, 32, 32))
    view = play.view()
    noise = (play.regularizers[0].images(play.reals, "real", view) - play.reals) / 0.5
    for power, moment in ((1, 0.0), (2, 1.0), (4, 3.0)):
        assert abs(noise.pow(power).mean().item() - moment) < 0.15


def test_gradients_of_the_generator_pass_through_it() -> None:
    play = Rehearsal(Linear((2, 4, 4)), InstanceNoise(std=0.3))
    view = play.view(GENERATOR)
    fakes = view.fakes()
    (slope,) = torch.autograd.grad(view.logits(fakes).sum(), fakes.images)
    assert_close(slope, play.discriminator.w.detach().expand_as(slope))


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="std must be finite and at least 0"):
        InstanceNoise(std=-0.1)
