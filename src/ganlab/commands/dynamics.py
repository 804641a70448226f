"""``ganlab dynamics``: which games converge, by theory and by trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from ganlab.commands.command import Command, Passed
from ganlab.core.ranges import at_least

_OPTIONS = ("loss", "loss.*", "reg", "reg.*", "game", "game.*", "optimizer/*", "optimizer.*", "prior", "prior.*")


@dataclass
class Dynamics(Command):
    """Judge if a small game converges: the eigenvalues of its vector field and its trajectories.

      ganlab dynamics loss=non_saturating reg=r1
      ganlab dynamics loss=wasserstein game.update=simultaneous optimizer.generator.momentum=0.5

    The last line is "verdict: W": converges, converges sublinearly, cycles, diverges or undecided.

    Args:
        problem: dirac, linear_quadratic, gaussian
        iterations: most iterations of a trajectory
        more: loss, reg, game and optimizer.PLAYER, which mean what they mean in `ganlab train`

    Both players have optimizer sgd with lr=0.05 here unless you say otherwise. See docs/dynamics.md.
    """

    problem: str = "dirac"
    iterations: Annotated[int, at_least(100)] = 4000
    more: Annotated[Sequence[str], Passed(_OPTIONS, "loss=, reg=, game.OPTION=, optimizer.PLAYER.OPTION=")] = ()

    def __call__(self) -> int:
        from ganlab.dynamics import laboratory, sentences

        found = laboratory.study(self.problem, self.more, self.iterations)
        print("\n".join(sentences.about(found)))
        return 0
