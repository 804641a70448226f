"""The original game: arXiv:1406.2661, eq. 1."""

from typing import Any

import pytest
import torch
from logits import FAR, sigmoid, softplus, value_and_slopes
from torch.testing import assert_close

from ganlab.losses.minimax import Minimax
from ganlab.testing import check_loss

EXACT: dict[str, Any] = {"rtol": 1e-13, "atol": 0.0}


def test_it_keeps_the_contract() -> None:
    check_loss(Minimax())


@pytest.mark.parametrize("t", FAR)
def test_values_and_slopes_are_exact_at_any_logit(t: float) -> None:
    """The generator's log(1 - sigmoid(f)) = -softplus(f) has the slope -sigmoid(f): e^f where D is sure, never 0."""
    value, real, fake = value_and_slopes(Minimax().discriminator, [t], [-t])
    assert_close(value.item(), 2 * softplus(-t), **EXACT)
    assert_close((real.item(), fake.item()), (-sigmoid(-t), sigmoid(-t)), **EXACT)
    value, _, fake = value_and_slopes(Minimax().generator, [0.0], [t])
    assert_close(value.item(), -softplus(t), **EXACT)
    assert_close(fake.item(), -sigmoid(t), **EXACT)


def test_the_game_is_zero_sum() -> None:
    """V = E log sigmoid(r) + E log(1 - sigmoid(f)): D minimises -V, G the part of V that depends on it."""
    random = torch.Generator().manual_seed(0)
    real, fake = torch.randn(6, generator=random), torch.randn(6, generator=random)
    loss = Minimax()
    rest = -torch.nn.functional.logsigmoid(real).mean()
    assert_close(loss.discriminator(real_logits=real, fake_logits=fake) + loss.generator(fake_logits=fake), rest)
