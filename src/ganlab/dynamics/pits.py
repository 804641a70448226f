"""Momentum on a fixed landscape of many pits: how many samples leave the pit that is nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganlab.core import randomness
from ganlab.data.grid import Grid
from ganlab.dynamics.energy import SAMPLE, coloured
from ganlab.sampling import scatter

MOMENTA = (0.0, 0.5, 0.9)
SAMPLES = 1000  # that roll
_PITS, _WIDTH, _RATE, _STEPS = 25, 0.7, 0.1, 400
_SHOWN, _LINES = 6.0, 100  # half a side of the picture, and paths in it
_SPREAD = 2.5  # standard deviation of the starts


@dataclass(frozen=True)
class Rolled:
    """Samples that rolled downhill.

    Args:
        momentum: m of the heavy ball.
        left: Samples that ended nearest to another pit than the one that was nearest at the start.
        reached: Pits that some sample ended in.
        paths: (steps + 1, N, 2).
    """

    momentum: float
    left: int
    reached: int
    paths: Tensor

    def left_at(self, step: int) -> int:
        """Return how many samples are nearest to another pit than at the start after so many steps."""
        first, now = (torch.cdist(self.paths[k], _centres()).argmin(1) for k in (0, step))
        return int((first != now).sum())


def roll(momenta: Sequence[float] = MOMENTA, seed: int = 0) -> list[Rolled]:
    """Roll the same samples down U(x) = -Σ_k d_k exp(-||x - c_k||²/2w²), for each momentum.

    c_k are the 25 points of the grid, and the depths d_k lie between 0.4 and 1.6.

    v <- m v - a ∇U(x); x <- x + v, a heavy ball of a generator's samples in an energy that stands still
    """
    centres, start = _centres(), _starts(seed)
    nearest = torch.cdist(start, centres).argmin(1)
    found: list[Rolled] = []
    for momentum in momenta:
        x, v, paths = start, torch.zeros_like(start), [start]
        for _ in range(_STEPS):
            v = momentum * v - _RATE * slope(x, centres)
            x = x + v
            paths.append(x)
        distance, end = torch.cdist(x, centres).min(1)
        inside = distance < 2 * _WIDTH
        found.append(Rolled(momentum, int((end != nearest).sum()), len(end[inside].unique()), torch.stack(paths)))
    return found


def slope(x: Tensor, centres: Tensor) -> Tensor:
    """∇U (N, 2) at points (N, 2)."""
    apart = x[:, None] - centres  # (N, K, 2)
    weight = depths() * torch.exp(-apart.square().sum(2) / (2 * _WIDTH**2)) / _WIDTH**2
    return (weight[..., None] * apart).sum(1)


def energy(x: Tensor, centres: Tensor) -> Tensor:
    """U (N,) at points (N, 2)."""
    return -(depths() * torch.exp(-torch.cdist(x, centres).square() / (2 * _WIDTH**2))).sum(1)


def depths() -> Tensor:
    """Return the depth (25,) of each pit."""
    random = randomness.generator("cpu", 0, "depths")
    return 0.4 + 1.2 * torch.rand(_PITS, generator=random, dtype=torch.float64)


def picture(rolled: Rolled, step: int = _STEPS, side: int = scatter.SIDE) -> Tensor:
    """Draw where samples are after so many steps, and the paths of some: uint8 (3, side, side)."""
    bounds = ((-_SHOWN, _SHOWN), (-_SHOWN, _SHOWN))
    line = torch.linspace(-_SHOWN, _SHOWN, side, dtype=torch.float64)
    places = torch.stack(torch.meshgrid(line, line.flip(0), indexing="xy"), 2)  # from the upper left corner on
    height = energy(places.flatten(0, 1), _centres()).view(side, side)
    below = coloured((height - height.min()).numpy() / float(height.max() - height.min()))
    canvas = scatter.picture(rolled.paths[step], bounds=bounds, side=side, below=below, colour=SAMPLE)
    return scatter.lines(canvas, rolled.paths[: step + 1, :_LINES], bounds) if step else canvas


def plain() -> dict[str, Any]:
    """Return the landscape and the starts as the page reads them."""
    return {
        "centres": _centres().tolist(),
        "depths": depths().tolist(),
        "starts": _starts(0).tolist(),
        "width": _WIDTH,
        "rate": _RATE,
        "steps": _STEPS,
    }


def _starts(seed: int) -> Tensor:
    random = randomness.generator("cpu", seed, "pits")
    return _SPREAD * torch.randn(SAMPLES, 2, generator=random, dtype=torch.float64)


def _centres() -> Tensor:
    modes = Grid(count=_PITS).modes
    assert modes is not None
    return modes.centres
