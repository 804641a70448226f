import math

import pytest
import torch
from ganlab_example_plugin.smoothed_logistic import SmoothedLogistic
from torch.testing import assert_close

from ganlab import testing


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_the_loss_keeps_ganlabs_contract(smoothing: float) -> None:
    testing.check_loss(SmoothedLogistic(smoothing))


def test_the_discriminators_loss_is_the_cross_entropy_with_labels_0_9_and_0() -> None:
    """A loop over -t log p - (1 - t) log(1 - p), with p = 1 / (1 + exp(-logit))."""
    reals, fakes = [0.3, -1.2, 2.0], [0.5, -0.4, -2.0]

    def cross_entropy(logit: float, label: float) -> float:
        p = 1 / (1 + math.exp(-logit))
        return -label * math.log(p) - (1 - label) * math.log(1 - p)

    expected = sum(cross_entropy(r, 0.9) for r in reals) / 3 + sum(cross_entropy(f, 0.0) for f in fakes) / 3
    found = SmoothedLogistic(0.1).discriminator(real_logits=torch.tensor(reals), fake_logits=torch.tensor(fakes))
    assert_close(found, torch.tensor(expected))


def test_real_logits_are_best_at_the_logarithm_of_the_odds() -> None:
    """The derivative by a real logit is sigmoid(logit) - (1 - s): it vanishes at log((1 - s) / s) = log 4."""
    logits = torch.full((5,), math.log(4.0), dtype=torch.float64, requires_grad=True)
    loss = SmoothedLogistic(0.2).discriminator(real_logits=logits, fake_logits=torch.zeros(5, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert_close(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("smoothing", [-0.1, 0.5, math.nan])
def test_labels_that_are_no_labels_are_refused(smoothing: float) -> None:
    with pytest.raises(ValueError, match="smoothing must be in"):
        SmoothedLogistic(smoothing)
