"""Noise that is optimized is measured by the correlation of neighbours, and normalized."""

from __future__ import annotations

import pytest
import torch

from ganlab.pictures.optimized_noise import OptimizedNoise, autocorrelation


def checkers(size: int) -> torch.Tensor:
    at = torch.arange(size)
    return (1.0 - 2.0 * ((at[:, None] + at) % 2)).expand(1, 1, size, size)


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (torch.ones(1, 1, 8, 8), 2.0),  # 1 in each direction
        (torch.ones(1, 1, 16, 16), 2.0 + 2 * 4.0**2),  # the next scale has 2 everywhere: products of 4
        (torch.ones(1, 1, 4, 4), 2.0),
        (checkers(8), 2.0),  # products of -1, squared
        (checkers(16), 2.0),  # means of 2 x 2 are 0
        (checkers(8)[:, :, :1].expand(1, 1, 8, 8), 2.0),  # columns: -1 across, 1 along
    ],
)
def test_the_autocorrelation_is_that_of_the_closed_form(noise: torch.Tensor, expected: float) -> None:
    torch.testing.assert_close(autocorrelation(noise), torch.tensor([expected]))


def test_white_noise_has_the_autocorrelation_of_its_finite_maps() -> None:
    """Of HW independent numbers of variance 1 the mean product has variance 1 / HW: each scale has 2 / HW."""
    noise = torch.randn(2000, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = 2 / 16**2 + 2 / 8**2
    assert float(autocorrelation(noise).mean()) == pytest.approx(expected, rel=0.05)


def test_the_penalty_sums_layers_and_has_a_slope_and_maps_are_normalized_each() -> None:
    noise = OptimizedNoise([(4, 4), (8, 6)], 3, torch.Generator().manual_seed(0))
    assert noise.numbers.shape == (3, 16 + 48)
    maps = list(noise.maps())
    assert [tuple(one.shape) for one in maps] == [(3, 1, 4, 4), (3, 1, 8, 6)]
    expected = 1e5 * (48 / 1024**2) ** 1.5 * (autocorrelation(maps[0]) + autocorrelation(maps[1]))
    torch.testing.assert_close(noise.penalty(), expected)
    (slope,) = torch.autograd.grad(noise.penalty().sum(), [noise.numbers])
    assert bool((slope[:, :16].norm(dim=1) > 0).all() and (slope[:, 16:].norm(dim=1) > 0).all())
    with torch.no_grad():
        noise.numbers.mul_(3).add_(1)
    noise.normalize()
    for one in noise.maps():
        torch.testing.assert_close(one.mean((1, 2, 3)), torch.zeros(3), atol=1e-6, rtol=0)
        torch.testing.assert_close(one.square().mean((1, 2, 3)), torch.ones(3))
