"""Non-saturating logistic loss: arXiv:1406.2661, section 3."""

from typing import Any

import pytest
import torch
from logits import FAR, sigmoid, softplus, value_and_slopes
from torch.testing import assert_close

from ganlab.losses.non_saturating import NonSaturating
from ganlab.testing import check_loss

EXACT: dict[str, Any] = {"rtol": 1e-13, "atol": 0.0}


def test_it_keeps_the_contract() -> None:
    check_loss(NonSaturating())


@pytest.mark.parametrize("t", FAR)
def test_values_and_slopes_are_exact_at_any_logit(t: float) -> None:
    """-log sigmoid(r) - log(1 - sigmoid(f)) = softplus(-r) + softplus(f), with slopes -sigmoid(-r) and sigmoid(f);
    for the generator softplus(-f), with slope -sigmoid(-f).
    """
    value, real, fake = value_and_slopes(NonSaturating().discriminator, [t], [0.5 * t])
    assert_close(value.item(), softplus(-t) + softplus(0.5 * t), **EXACT)
    assert_close(real.item(), -sigmoid(-t), **EXACT)
    assert_close(fake.item(), sigmoid(0.5 * t), **EXACT)
    value, _, fake = value_and_slopes(NonSaturating().generator, [0.0], [t])
    assert_close(value.item(), softplus(-t), **EXACT)
    assert_close(fake.item(), -sigmoid(-t), **EXACT)


def test_it_is_binary_cross_entropy_with_the_labels_swapped_for_the_generator() -> None:
    random = torch.Generator().manual_seed(0)
    real, fake = torch.randn(7, generator=random), torch.randn(5, generator=random)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(real, torch.ones(7)) + bce(fake, torch.zeros(5))
    assert_close(NonSaturating().discriminator(real_logits=real, fake_logits=fake), expected)
    assert_close(NonSaturating().generator(fake_logits=fake), bce(fake, torch.ones(5)))
