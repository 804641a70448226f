"""Trajectories of small steps against scipy's integrator in float64, on vector fields that are derived here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.special import expit

from ganlab.dynamics import building, trajectories
from ganlab.dynamics.field import Field

TIME = 0.5
START = (0.6, 1.1)  # (ψ, θ)


def non_saturating(gamma: float) -> Callable[[float, np.ndarray], list[float]]:
    """D(x) = ψ·x, reals at 0: D minimises softplus(ψθ) + γ/2 ψ², and G softplus(-ψθ)."""
    return lambda t, w: [-w[1] * expit(w[0] * w[1]) - gamma * w[0], w[0] * expit(-w[0] * w[1])]


def wasserstein_consensus(gamma: float) -> Callable[[float, np.ndarray], list[float]]:
    """v = (θ, -ψ), and both players minimise γ/2 (ψ² + θ²) in addition."""
    return lambda t, w: [-w[1] - gamma * w[0], w[0] - gamma * w[1]]


@pytest.mark.parametrize(
    ("words", "flow"),
    [
        pytest.param("loss=non_saturating", non_saturating(0.0), marks=pytest.mark.slow),
        ("loss=non_saturating reg=r1 reg.r1.gamma=0.7", non_saturating(0.7)),
        pytest.param(
            "loss=wasserstein reg=consensus reg.consensus.gamma=0.4", wasserstein_consensus(0.4), marks=pytest.mark.slow
        ),
    ],
    ids=["unregularized", "R1", "consensus"],
)
def test_small_steps_follow_the_flow_with_an_error_of_first_order(
    words: str, flow: Callable[[float, np.ndarray], list[float]]
) -> None:
    exact = solve_ivp(flow, (0, TIME), START, rtol=1e-11, atol=1e-12).y[:, -1]
    errors = []
    for count in (24, 48):
        rates = [f"optimizer.{player}.lr={TIME / count}" for player in building.NETWORKS]
        of = building.configuration([*words.split(), "game.update=simultaneous", *rates])
        field = Field(building.build(building.problem("dirac"), of))
        path = trajectories.simulate(field, torch.tensor([START], dtype=torch.float64), count)
        errors.append(np.abs(path[-1, 0].numpy() - exact).max())
    assert errors[0] < 0.01
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)


def test_adam_is_torchs_own_along_the_trajectory() -> None:
    """One start by hand: the gradients of the flow above, and torch's Adam for each player."""
    words = ["loss=non_saturating", "game.update=simultaneous"]
    words += [f"optimizer/{player}=adam" for player in building.NETWORKS]
    words += [f"optimizer.{player}.betas=[0.5,0.9]" for player in building.NETWORKS]
    field = Field(building.build(building.problem("dirac"), building.configuration(words)))
    found = trajectories.simulate(field, torch.tensor([START], dtype=torch.float64), 30)
    weights = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in START]
    steps = [torch.optim.Adam([w], lr=0.01, betas=(0.5, 0.9)) for w in weights]
    for _ in range(30):
        slopes = non_saturating(0.0)(0.0, np.array([w.item() for w in weights]))
        for w, slope, step in zip(weights, slopes, steps, strict=True):
            w.grad = -torch.tensor(slope, dtype=torch.float64)
            step.step()
    torch.testing.assert_close(found[-1, 0], torch.stack(weights).detach(), rtol=1e-9, atol=1e-9)
