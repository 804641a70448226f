"""The drift penalty: arXiv:1710.10196, appendix A.1."""

import pytest
import torch
from support.rehearsals import GENERATOR, Linear, Rehearsal
from torch.testing import assert_close

from ganlab.regularizers.drift import Drift
from ganlab.testing import check_regularizer


def test_it_keeps_the_contract() -> None:
    assert check_regularizer(Drift()) == []


def test_it_is_the_mean_square_of_real_logits() -> None:
    """weight E[(w·x)^2], with the gradient 2 weight E[(w·x) x]."""
    play = Rehearsal(Linear((2, 4, 4)), Drift(weight=0.3))
    w = play.discriminator.w
    value, logits = play.term("drift"), [float((w.detach() * x).sum()) for x in play.reals]
    assert_close(value.item(), 0.3 * sum(t**2 for t in logits) / 6)
    slope = sum(2 * 0.3 * t * x for t, x in zip(logits, play.reals, strict=True)) / 6
    assert_close(torch.autograd.grad(value, w)[0], slope)
    assert play.terms(GENERATOR) == {}


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="weight must be finite and at least 0"):
        Drift(weight=-1.0)
