"""Relativistic average: arXiv:1807.00734, section 4.3."""

import torch
from logits import sigmoid, softplus, value_and_slopes
from torch.testing import assert_close

from ganlab.losses.relativistic_average import RelativisticAverage
from ganlab.testing import check_loss

REAL, FAKE = [0.3, -1.0, 2.0, 40.0], [1.0, 0.1, -0.4]


def test_it_keeps_the_contract() -> None:
    check_loss(RelativisticAverage())


def test_it_equals_a_loop_over_images() -> None:
    """D~(x) = sigmoid(D(x) - mean fake); L_D = -E[log D~(x)] - E[log(1 - D~(G(z)))]; L_G with the kinds exchanged."""
    real_mean, fake_mean = sum(REAL) / 4, sum(FAKE) / 3
    r, f = [t - fake_mean for t in REAL], [t - real_mean for t in FAKE]
    value, *_ = value_and_slopes(RelativisticAverage().discriminator, REAL, FAKE)
    assert_close(value.item(), sum(map(softplus, (-t for t in r))) / 4 + sum(map(softplus, f)) / 3)
    value, *_ = value_and_slopes(RelativisticAverage().generator, REAL, FAKE)
    assert_close(value.item(), sum(map(softplus, r)) / 4 + sum(map(softplus, (-t for t in f))) / 3)


def test_gradients_flow_through_the_means() -> None:
    """d L_D / d r_i = -sigmoid(-r_i')/4 - (1/4) mean_j sigmoid(f_j'): the second term is the mean's."""
    real_mean, fake_mean = sum(REAL) / 4, sum(FAKE) / 3
    through_mean = sum(sigmoid(f - real_mean) for f in FAKE) / 3
    expected = [-(sigmoid(-(r - fake_mean)) + through_mean) / 4 for r in REAL]
    _, real, _ = value_and_slopes(RelativisticAverage().discriminator, REAL, FAKE)
    assert_close(real, torch.tensor(expected, dtype=torch.float64))
