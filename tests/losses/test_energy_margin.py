"""EBGAN's loss: arXiv:1609.03126, eqs. 1 and 2."""

import pytest
import torch
from torch.testing import assert_close

from ganlab.losses.energy_margin import EnergyMargin
from ganlab.testing import check_loss


@pytest.mark.parametrize("margin", [1.0, 10.0])
def test_it_keeps_the_contract(margin: float) -> None:
    check_loss(EnergyMargin(margin=margin))


def test_it_equals_a_loop_over_energies() -> None:
    """L_D = E(x) + [m - E(G(z))]^+, L_G = E(G(z)); the logit is -E."""
    real, fake, m = [0.2, 1.5, 30.0], [0.1, 2.4, 2.6, 40.0], 2.5
    loss = EnergyMargin(margin=m)
    logits = {"real_logits": -torch.tensor(real), "fake_logits": -torch.tensor(fake)}
    expected = sum(real) / 3 + sum(max(0.0, m - e) for e in fake) / 4
    assert_close(loss.discriminator(**logits), torch.tensor(expected))
    assert_close(loss.generator(fake_logits=logits["fake_logits"]), torch.tensor(sum(fake) / 4))


def test_fakes_above_the_margin_do_not_pull_at_the_discriminator() -> None:
    fake = torch.tensor([-0.9, -1.1, -30.0], requires_grad=True)
    EnergyMargin().discriminator(real_logits=torch.zeros(3), fake_logits=fake).backward()
    assert_close(fake.grad, torch.tensor([1.0, 0.0, 0.0]) / 3)


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan")])
def test_a_margin_that_is_not_positive_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin must be finite and positive, got"):
        EnergyMargin(margin=margin)
