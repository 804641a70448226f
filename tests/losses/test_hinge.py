"""Hinge: arXiv:1705.02894."""

import pytest
import torch
from torch.testing import assert_close

from ganlab.losses.hinge import Hinge
from ganlab.testing import check_loss


def test_it_keeps_the_contract() -> None:
    check_loss(Hinge())
    check_loss(Hinge(margin=0.8))


def test_it_equals_a_loop_over_images() -> None:
    """E[max(0, m - D(x))] + E[max(0, m + D(G(z)))], image by image."""
    real, fake, m = [-2.0, 0.3, 1.7, 40.0], [-1.7, -0.2, 2.5], 1.5
    expected = sum(max(0.0, m - r) for r in real) / 4 + sum(max(0.0, m + f) for f in fake) / 3
    loss = Hinge(margin=m)
    assert_close(
        loss.discriminator(real_logits=torch.tensor(real), fake_logits=torch.tensor(fake)), torch.tensor(expected)
    )
    assert_close(loss.generator(fake_logits=torch.tensor(fake)), torch.tensor(-sum(fake) / 3))


def test_only_images_inside_the_margin_pull_at_the_discriminator() -> None:
    real = torch.tensor([0.9, 1.1, -30.0], requires_grad=True)
    fake = torch.tensor([-0.9, -1.1, 30.0], requires_grad=True)
    Hinge().discriminator(real_logits=real, fake_logits=fake).backward()
    assert_close(real.grad, torch.tensor([-1.0, 0.0, -1.0]) / 3)
    assert_close(fake.grad, torch.tensor([1.0, 0.0, 1.0]) / 3)


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), float("inf")])
def test_a_margin_that_is_not_positive_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin must be finite and positive, got"):
        Hinge(margin=margin)
