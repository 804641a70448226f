"""Wasserstein: arXiv:1701.07875, eq. 3."""

import torch
from torch.testing import assert_close

from ganlab.losses.wasserstein import Wasserstein
from ganlab.testing import check_loss


def test_it_keeps_the_contract() -> None:
    check_loss(Wasserstein())


def test_with_a_critic_of_slope_one_it_is_minus_the_distance_of_two_shifted_clouds() -> None:
    """W1(P, P + c) = c; the critic D(x) = -x is optimal for a shift to the right and reaches E_P[D] - E_Q[D] = c."""
    points = torch.linspace(-1, 1, 9, dtype=torch.float64)
    loss = Wasserstein().discriminator(real_logits=-points, fake_logits=-(points + 0.75))
    assert_close(loss.item(), -0.75)


def test_the_players_slopes_are_constant() -> None:
    real, fake = torch.randn(4, requires_grad=True), torch.randn(5, requires_grad=True)
    Wasserstein().discriminator(real_logits=1e4 * real, fake_logits=1e4 * fake).backward()
    assert_close(real.grad, torch.full((4,), -1e4 / 4))
    assert_close(fake.grad, torch.full((5,), 1e4 / 5))
    (slope,) = torch.autograd.grad(Wasserstein().generator(fake_logits=fake), fake)
    assert_close(slope, torch.full((5,), -1 / 5))
