"""Penalties without second derivatives: E[(D(x + eps n) - D(x))^2] / eps^2 is ||dD/dx||^2 where D is linear."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from support.rehearsals import Linear, Quadratic, Rehearsal
from torch import Tensor, nn
from torch.testing import assert_close

from ganlab.regularizers.centering import Centering
from ganlab.regularizers.gradient_penalty import GradientPenalty
from ganlab.regularizers.input_penalty import InputPenalty
from ganlab.regularizers.r1 import R1
from ganlab.regularizers.r2 import R2
from ganlab.testing import check_regularizer

FINITE: dict[str, Any] = {"estimator": "finite_difference", "share": 1.0}
PENALTIES: dict[str, tuple[InputPenalty, Any]] = {
    "r1": (R1(gamma=2.0, **FINITE), lambda norm: norm**2),
    "r2": (R2(gamma=2.0, **FINITE), lambda norm: norm**2),
    "gradient_penalty": (GradientPenalty(weight=1.0, **FINITE), lambda norm: (norm - 1) ** 2),
    "centered at 0": (GradientPenalty(weight=1.0, center=0.0, **FINITE), lambda norm: norm**2),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_it_keeps_the_contract(name: str) -> None:
    assert check_regularizer(PENALTIES[name][0]) == []


@pytest.mark.parametrize("name", PENALTIES)
def test_its_expectation_is_exact_for_a_linear_discriminator(name: str) -> None:
    """D(x + eps n) - D(x) = eps w·n: over many draws the cost of w·n has the mean of the exact penalty."""
    penalty, exact = PENALTIES[name]
    weights = torch.randn(30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    draws = torch.randn(200_000, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    costs = penalty.penalty_of_difference(draws @ weights)
    error = costs.std() / math.sqrt(len(costs))
    assert abs(costs.mean() - exact(weights.norm())) < 4 * error


def test_the_differences_are_those_of_the_discriminator_at_every_kth_image() -> None:
    """D(x) = w·x with the noise of the view's stream: (D(x + eps n) - D(x)) / eps = w·n at images 0, 3."""
    play = Rehearsal(Linear((2, 4, 4)), R1(gamma=2.0, estimator="finite_difference", eps=0.5, share=1 / 3))
    value = play.term("r1")
    noise = play.view().draw("finite difference at real", (2, 2, 4, 4)).double()
    slopes = (noise * play.discriminator.w.detach()).flatten(1).sum(1)
    assert_close(value, slopes.square().mean())
    (gradient,) = torch.autograd.grad(value, play.discriminator.w)
    assert_close(gradient, (2 * slopes.view(-1, 1, 1, 1) * noise).mean(0))


def test_the_bias_of_a_curved_discriminator_falls_with_the_square_of_the_step() -> None:
    """D = 1/2 w·x^2: E[(w x·n + eps/2 w·n^2)^2] = ||w x||^2 + eps^2/4 (2 ||w||^2 + (sum w)^2)."""
    quadratic = Quadratic((2, 4, 4))
    w = quadratic.w.detach()
    x = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    n = torch.randn(100_000, 2, 4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for eps in (1.0, 0.3):
        costs = ((quadratic(x + eps * n) - quadratic(x[None])) / eps).square()
        bias = eps**2 / 4 * (2 * w.square().sum() + w.sum() ** 2)
        expected = (w * x).square().sum() + bias
        assert abs(costs.mean() - expected) < 4 * costs.std() / math.sqrt(len(costs))


class Dropping(Linear):
    """D(x) = w·drop(x): without the same masks the difference of two passes would be that of the masks."""

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return super().features(nn.functional.dropout(x, 0.5))


def test_both_passes_draw_the_same_masks() -> None:
    play = Rehearsal(Dropping((2, 4, 4)), R1(gamma=2.0, estimator="finite_difference", eps=1e-3, share=1.0))
    w = play.discriminator.w.detach()
    assert play.term("r1") < 40 * w.square().sum()  # masks of their own: some w·x / eps, a million times as much


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="share must be 1/k"):
        R1(share=0.4)
    with pytest.raises(ValueError, match="Did you mean 'exact'"):
        R1(estimator="exakt")
    with pytest.raises(ValueError, match="one_sided must be false"):
        GradientPenalty(one_sided=True, **FINITE)


def test_centering_is_the_mean_square_of_pairs_of_logits() -> None:
    assert check_regularizer(Centering()) == []
    play = Rehearsal(Linear((2, 4, 4)), Centering(weight=0.5))
    w, view = play.discriminator.w.detach(), play.view()
    pairs = ((view.reals.images + view.fakes(grad=False).images) * w).flatten(1).sum(1)
    assert_close(play.term("centering").detach(), 0.5 * pairs.square().mean())
