"""The factor of an iteration of every smooth row of the table against its closed form.

Every smooth row is, at the equilibrium and in steps of the discriminator, dψ/dt = -d ψ - s θ, dθ/dt = s ψ - g θ,
when θ is scaled by the root of the ratio of the rates. f' is the slope of the losses at a logit of 0 and f'' their
curvature: 1/2 and 1/4 for the logistic ones, 1 and 0 for Wasserstein's.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganlab.dynamics import building, maps, table
from ganlab.dynamics.field import Field

H = 0.2  # the discriminator's step size in the table
F, C, RATIO = 0.5, 0.25, 0.25  # f' and f'' of the logistic losses, and h_G / h_D of the rows of two time scales
ROWS = {row.name: row for row in table.published()}
GAMES: dict[str, tuple[float, float, float]] = {  # d, g, s
    "unregularized minimax": (0, 0, F),
    "five discriminator steps": (0, 0, F),
    "unregularized non-saturating": (0, 0, F),
    "WGAN": (0, 0, 1),
    "WGAN with clipping": (0, 0, 1),  # within the limits
    "consensus": (2 * F**2, 2 * F**2, F),  # γ/2 |v|² = γ/2 f'²(θ² + ψ²), γ = 2
    "instance noise": (2 * C * 1, 0, F),  # E softplus(ψe) of reals and of fakes: f''σ² each
    "instance noise at its critical std": (2 * C * 2, 0, F),
    "R1": (0.5, 0, F),  # γ/2 ψ²
    "R1 at its critical gamma": (1, 0, F),
    "R1 above it": (3, 0, F),
    "R2": (0.5, 0, F),
    "WGAN with R1": (1, 0, 1),
    "WGAN-div, p = 6": (0, 0, 1),  # k|ψ|⁶ has no curvature at 0
    "WGAN-div, p = 2": (2 * 0.3, 0, 1),  # kψ²
    "penalty around 0 between": (2 * 0.3, 0, 1),  # wψ² wherever it is taken
    "penalty around 0 at reals": (2 * 0.3, 0, 1),
    "penalty around 0 at fakes": (2 * 0.3, 0, 1),
    "Roth": (2 * 0.25 * 1, 0, F),  # γ/2 (1/4 + 1/4) ψ², γ = 1
    "locally stable": (0, 2 * 0.5 * F**2, F),  # η f'²θ² of the generator, η = 1/2
    "TTUR": (0, 0, RATIO**0.5),
    "TTUR under consensus": (0.5, 0.5 * RATIO, RATIO**0.5),  # γ/2 (θ² + ψ²), γ = 1/2
    "TTUR with R1": (1, 0, RATIO**0.5),
    "extragradient": (0, 0, 1),
    "optimistic": (0, 0, 1),
    "momentum 0.5": (0, 0, 1),
    "momentum -0.3": (0, 0, 1),
}
ROUGH = {"WGAN-GP", "WGAN-GP with five steps", "WGAN-GP as trained", "DRAGAN", "penalty around 1 at reals",
         "penalty around 1 at fakes"}  # fmt: skip
QUICK = ("five discriminator steps", "momentum -0.3")


def together(d: float, g: float, s: float) -> float:
    """|λ| of w <- w + h A w, λ = 1 + h (-(d + g)/2 ± √((d - g)²/4 - s²))."""
    root = ((d - g) ** 2 / 4 - s**2 + 0j) ** 0.5
    return max(abs(1 + H * (-(d + g) / 2 + sign * root)) for sign in (1, -1))


def in_turns(d: float, g: float, s: float, steps: int = 1) -> float:
    """ψ <- a ψ - b θ with a = (1 - h d)^n and b = h s Σ (1 - h d)^k, then θ <- (1 - h g) θ + h s ψ.

    The trace is a + 1 - h g - h s b and the determinant a (1 - h g).
    """
    a, b = (1 - H * d) ** steps, H * s * sum((1 - H * d) ** k for k in range(steps))
    return largest([1, -(a + 1 - H * g - H * s * b), a * (1 - H * g)])


def largest(polynomial: list[complex]) -> float:
    return float(np.abs(np.roots(polynomial)).max())


def expected(name: str, rule: str) -> float:
    d, g, s = GAMES[name]
    a = H * s
    if name == "extragradient":  # λ = 1 ± i a (1 ± i a)
        return (1 - a**2 + a**4) ** 0.5
    if name == "optimistic":  # w'' = w' + 2 i a w' - i a w
        return largest([1, -(1 + 2j * a), 1j * a])
    if name.startswith("momentum"):  # (λ² - (1 + μ)λ + μ)² = -a² λ², or -a² λ³ in turns
        mu = float(name.split()[1])
        ball = np.poly1d([1, -(1 + mu), mu])
        return largest(list((ball * ball + a**2 * np.poly1d([1, 0, 0] + [0] * (rule == "in turns"))).coeffs))
    if rule == "together":
        return together(d, g, s)
    return in_turns(d, g, s, 5 if name.startswith("five") else 1)


def test_every_row_has_a_closed_form_or_is_not_smooth() -> None:
    assert {*GAMES, *ROUGH} == set(ROWS)
    assert {name for name, row in ROWS.items() if not row.closed} == ROUGH


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in GAMES])
def test_the_factor_of_an_iteration_is_the_closed_form(name: str) -> None:
    row = ROWS[name]
    rates = [f"optimizer.{p}.lr={H}" for p in building.NETWORKS if not any(f"optimizer.{p}.lr" in w for w in row.words)]
    for rule in row.rules:
        words = [*row.words, *rates, *([table.RULES[rule]] if rule in table.RULES else [])]
        of = Field(building.build(building.problem("dirac"), building.configuration(words)))
        matrix, count = maps.iteration(of, maps.rates(of) or {})
        assert count == 1
        found = float(torch.linalg.eigvals(matrix).abs().max())
        # a double eigenvalue is known to the root of the precision of the matrix
        assert found == pytest.approx(expected(name, rule), abs=1e-6), rule
