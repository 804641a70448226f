"""Small games with a known equilibrium: their networks and real points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganlab.dynamics.quadrature import PAIRS, column


class Point(nn.Module):
    """G(z) = θ: a distribution with one point."""

    latent_dim, num_classes, image_shape = 1, 0, (1,)

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(1, 1))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.theta.expand(len(z), 1)


class Affine(nn.Module):
    """G(z) = s·z + m, or s·z: a normal distribution.

    Args:
        shift: Whether there is an m.
    """

    latent_dim, num_classes, image_shape = 1, 0, (1,)

    def __init__(self, shift: bool) -> None:
        super().__init__()
        self.net = nn.Linear(1, 1, bias=shift)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.net(z)


class Polynomial(nn.Module):
    """D(x) = Σ ψ_k x^k over some powers k, with no constant.

    Args:
        powers: k above.
    """

    num_classes = 0

    def __init__(self, powers: Sequence[int]) -> None:
        super().__init__()
        self.powers = tuple(powers)
        self.net = nn.Linear(len(self.powers), 1, bias=False)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.net(torch.cat([x**k for k in self.powers], 1)).squeeze(1)


@dataclass(frozen=True)
class Problem:
    """A small game.

    Args:
        name: It is typed as ``problem=name``.
        about: Its networks and data as a formula, and where it is from.
        formula: Its discriminator, for messages.
        weights: Names of its weights w, those of the discriminator first.
        equilibrium: w* at which the generator gives the data and D(x) = 0.
        planes: Pairs of weights that are drawn against each other, as numbers of weights: horizontal and vertical.
        radius: Distance from w* of the starts that are not near it.
        generator: Makes the generator.
        discriminator: Makes the discriminator.
        reals: Real points (B, 1), float64, with B a multiple of `PAIRS`.
    """

    name: str
    about: str
    formula: str
    weights: tuple[str, ...]
    equilibrium: tuple[float, ...]
    planes: tuple[tuple[int, int], ...]
    radius: float
    generator: Callable[[], nn.Module]
    discriminator: Callable[[], nn.Module]
    reals: Callable[[], Tensor]

    @property
    def rest(self) -> Tensor:
        """w* (P,), float64."""
        return torch.tensor(self.equilibrium, dtype=torch.float64)


def _normal() -> Tensor:
    """Return the nodes and the same mirrored: terms of three draws that are odd in the real ones then vanish, as the
    products of reals and fakes in the squares of interpolates, which need more than pairs of nodes."""
    nodes = column(0, "normal").unsqueeze(1)
    return torch.cat([nodes, -nodes])


_ALL = (
    Problem(
        "dirac",
        "reals at 0, G(z) = θ, D(x) = ψ·x (Mescheder et al. 2018, arXiv:1801.04406, definition 2.1)",
        "D(x) = ψ·x",
        ("ψ", "θ"),
        (0.0, 0.0),
        ((1, 0),),
        1.0,
        Point,
        lambda: Polynomial([1]),
        lambda: torch.zeros(PAIRS, 1, dtype=torch.float64),
    ),
    Problem(
        "linear_quadratic",
        "reals N(0, 1), G(z) = θ·z with z ~ N(0, 1), D(x) = ψ·x² (Nagarajan & Kolter 2017, arXiv:1706.04156)",
        "D(x) = ψ·x²",
        ("ψ", "θ"),
        (0.0, 1.0),
        ((1, 0),),
        0.5,
        lambda: Affine(shift=False),
        lambda: Polynomial([2]),
        _normal,
    ),
    Problem(
        "gaussian",
        "reals N(0, 1), G(z) = s·z + m with z ~ N(0, 1), D(x) = a·x + b·x²",
        "D(x) = a·x + b·x²",
        ("a", "b", "s", "m"),
        (0.0, 0.0, 1.0, 0.0),
        ((3, 0), (2, 1)),
        0.5,
        lambda: Affine(shift=True),
        lambda: Polynomial([1, 2]),
        _normal,
    ),
)
PROBLEMS: Mapping[str, Problem] = {problem.name: problem for problem in _ALL}
"""The problems by name."""
