"""Least squares: arXiv:1611.04076."""

import pytest
import torch
from torch.testing import assert_close

from ganlab.losses.least_squares import LeastSquares
from ganlab.testing import check_loss

PEARSON = {"fake_target": -1.0, "real_target": 1.0, "generator_target": 0.0}


@pytest.mark.parametrize("options", [{}, PEARSON, {"real_target": 0.9}], ids=str)
def test_it_keeps_the_contract(options: dict[str, float]) -> None:
    check_loss(LeastSquares(**options))


def test_it_equals_a_loop_over_images() -> None:
    """Eq. 2: 1/2 E[(D(x) - b)^2] + 1/2 E[(D(G(z)) - a)^2]; 1/2 E[(D(G(z)) - c)^2]."""
    real, fake, a, b, c = [-30.0, 0.5, 2.0], [30.0, -0.5], -0.5, 1.25, 0.75
    loss = LeastSquares(fake_target=a, real_target=b, generator_target=c)
    expected = sum((r - b) ** 2 for r in real) / 6 + sum((f - a) ** 2 for f in fake) / 4
    found = loss.discriminator(real_logits=torch.tensor(real), fake_logits=torch.tensor(fake))
    assert_close(found, torch.tensor(expected))
    assert_close(loss.generator(fake_logits=torch.tensor(fake)), torch.tensor(sum((f - c) ** 2 for f in fake) / 4))


def test_against_the_optimal_discriminator_the_generator_minimises_half_of_pearson_chi_squared() -> None:
    """Eqs. 5 to 7: D* = (b p + a q) / (p + q), here (p - q) / (p + q). With c = 0 the paper's
    2 C(G) = E_p[D*^2] + E_q[D*^2] = sum of (p - q)^2 / (p + q) = chi^2(p + q || 2q), over four points.
    """
    p, q = torch.tensor([0.1, 0.2, 0.3, 0.4]).double(), torch.tensor([0.4, 0.1, 0.25, 0.25]).double()
    best = (p - q) / (p + q)
    loss = LeastSquares(**PEARSON)
    on_real = sum(w * loss.generator(fake_logits=d[None]) for w, d in zip(p, best, strict=True))
    on_fake = sum(w * loss.generator(fake_logits=d[None]) for w, d in zip(q, best, strict=True))
    assert_close(2 * (on_real + on_fake), ((2 * q - (p + q)) ** 2 / (p + q)).sum())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"real_target": 0.0}, "real_target must be above fake_target=0.0, got 0.0"),
        ({"generator_target": -1.0}, "generator_target must be above fake_target=0.0, got -1.0"),
        ({"fake_target": float("nan")}, "fake_target must be finite, got nan"),
    ],
)
def test_targets_that_leave_a_player_nothing_to_want_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LeastSquares(**options)
