"""A game in the laboratory: field, linearisation, trajectories and verdicts together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ganlab.dynamics import behaviour, building, trajectories, verdicts
from ganlab.dynamics.behaviour import Behaviour
from ganlab.dynamics.field import Field
from ganlab.dynamics.theory import Theory, theory
from ganlab.dynamics.verdicts import Verdict

_LEAST, _TURNS, _FALLS = 300, 40, 16  # iterations of a simulation: whole turns, and powers of e of its rate


@dataclass(frozen=True)
class Findings:
    """All that is found about one game.

    Args:
        field: Its vector field.
        theory: The linearisation.
        simulation: The verdict by trajectories.
        behaviours: Of each trajectory; the first one starts near the equilibrium.
        paths: Trajectories (K + 1, S, P); NaN where one has gone very far.
    """

    field: Field
    theory: Theory
    simulation: Verdict
    behaviours: list[Behaviour]
    paths: Tensor

    @property
    def verdict(self) -> Verdict:
        """The verdict of theory and simulation together."""
        return verdicts.together(self.theory.verdict, self.simulation)


def study(problem: str, words: Sequence[str], iterations: int) -> Findings:
    """Study the game of a problem.

    Args:
        problem: Its name.
        words: As in ``ganlab train``: ``loss=hinge``, ``game.update=simultaneous``.
        iterations: Most iterations of a trajectory.

    Raises:
        GanlabError: If a name or an option is wrong, or does not go with the problem.
    """
    return findings(Field(building.build(building.problem(problem), building.configuration(words))), iterations)


def findings(field: Field, iterations: int) -> Findings:
    """Study a field, with trajectories of at most so many iterations."""
    found = theory(field)
    paths = trajectories.simulate(field, trajectories.starts(field.play.problem), _enough(found, iterations))
    simulation, each = behaviour.judge(paths, field.play.problem.rest)
    return Findings(field, found, simulation, each, paths)


def _enough(found: Theory, most: int) -> int:
    """Return the iterations that it takes to see what the linearisation says, at most ``most``."""
    if found.map is None or not found.verdict.rate:
        return most
    enough = max(_LEAST, _FALLS / max(abs(math.log(found.verdict.rate)), 1e-9))
    angle = float(found.map[0].angle().abs())
    enough = max(enough, _TURNS * math.pi / angle) if angle > 1e-6 else enough
    return math.ceil(min(most, enough))
