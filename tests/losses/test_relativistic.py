"""Relativistic pairing: arXiv:1807.00734, arXiv:2501.05441."""

from typing import Any

import pytest
import torch
from logits import FAR, sigmoid, softplus, value_and_slopes
from torch.testing import assert_close

from ganlab.losses.relativistic import Relativistic
from ganlab.testing import check_loss

EXACT: dict[str, Any] = {"rtol": 1e-13, "atol": 0.0}


def test_it_keeps_the_contract() -> None:
    check_loss(Relativistic())


@pytest.mark.parametrize("t", FAR)
def test_values_and_slopes_are_exact_at_any_difference(t: float) -> None:
    """D: softplus(-(r - f)), slopes -sigmoid(-(r - f)) and +; G: the same with r and f exchanged. f = 2, r = f + t."""
    value, real, fake = value_and_slopes(Relativistic().discriminator, [t], [0.0])
    assert_close(value.item(), softplus(-t), **EXACT)
    assert_close((real.item(), fake.item()), (-sigmoid(-t), sigmoid(-t)), **EXACT)
    value, real, fake = value_and_slopes(Relativistic().generator, [t], [0.0])
    assert_close(value.item(), softplus(t), **EXACT)
    assert_close((real.item(), fake.item()), (sigmoid(t), -sigmoid(t)), **EXACT)


def test_images_are_paired_by_their_index() -> None:
    real, fake = [0.3, -1.0, 2.0], [1.0, 0.1, -0.4]
    expected = sum(softplus(f - r) for r, f in zip(real, fake, strict=True)) / 3
    value, *_ = value_and_slopes(Relativistic().discriminator, real, fake)
    assert_close(value.item(), expected)


def test_it_sees_differences_only() -> None:
    random = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 6, generator=random).double()
    for function in (Relativistic().discriminator, Relativistic().generator):
        assert_close(
            function(real_logits=real + 17, fake_logits=fake + 17), function(real_logits=real, fake_logits=fake)
        )


def test_different_numbers_of_images_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match=r"expected as many real as fake logits to pair them, got \(3,\) and \(1,\)"):
        Relativistic().discriminator(real_logits=torch.zeros(3), fake_logits=torch.zeros(1))
