"""The findings about a game as plain numbers, for pages and pictures."""

from __future__ import annotations

from typing import Any

import torch

from ganlab.dynamics.laboratory import Findings
from ganlab.dynamics.verdicts import CYCLES

_SIDE, _REACH = 17, 2.5  # of the grid of a field: points a side, and radii that it reaches
_AROUND = 1.1  # times the distance of a cycle, as far as which it reaches


def of(found: Findings, points: int = 400) -> dict[str, Any]:
    """Return all that a picture of a game shows, as lists and numbers; what is not finite is None.

    Args:
        points: Most points of a trajectory.

    Returns:
        ``problem``, ``weights`` and ``rest``, their values at the equilibrium; ``planes``: each with its two weights,
        ``at`` (a grid) and ``arrows`` (-v there, with other weights at the equilibrium); ``paths``: of each start,
        its points, and ``every``, the iterations from one to the next; ``flow`` and ``map``: eigenvalues as
        [real, imaginary]; ``theory``, ``simulation`` and ``verdict``: word, reason and rate.
    """
    problem = found.field.play.problem
    every = max(1, (len(found.paths) - 1) // points)
    return {
        "problem": problem.name,
        "weights": list(problem.weights),
        "rest": list(problem.equilibrium),
        "planes": [_plane(found, across, up) for across, up in problem.planes],
        "paths": _finite(found.paths[::every].transpose(0, 1).tolist()),
        "every": every,
        "flow": _complex(found.theory.flow),
        "map": _complex(found.theory.map),
        "theory": vars(found.theory.verdict),
        "simulation": vars(found.simulation),
        "verdict": vars(found.verdict),
    }


def _plane(found: Findings, across: int, up: int) -> dict[str, Any]:
    problem = found.field.play.problem
    line = torch.linspace(-1, 1, _SIDE, dtype=torch.float64) * _reach(found)
    y, x = torch.meshgrid(line, line, indexing="ij")
    weights = problem.rest.repeat(_SIDE * _SIDE, 1)
    weights[:, across] += x.reshape(-1)
    weights[:, up] += y.reshape(-1)
    v = found.field(weights)
    at, arrows = weights[:, [across, up]], -v[:, [across, up]]
    return {"weights": [across, up], "at": at.tolist(), "arrows": _finite(arrows.tolist())}


def _reach(found: Findings) -> float:
    """Return the distance to the equilibrium that a picture shows: the cycles of its trajectories lie inside."""
    cycles = (_AROUND * one.last for one in found.behaviours if one.word == CYCLES)
    return max([_REACH * found.field.play.problem.radius, *cycles])


def _complex(values: torch.Tensor | None) -> list[list[float]] | None:
    return None if values is None else torch.view_as_real(values).tolist()


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return value if value == value and abs(value) != float("inf") else None
