"""``ganlab dynamics``: which games converge, by theory and by trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ganlab.commands.command import PATH, Command, Passed, Word
from ganlab.core.errors import GanlabError
from ganlab.core.ranges import at_least

_OPTIONS = ("loss", "loss.*", "reg", "reg.*", "game", "game.*", "optimizer/*", "optimizer.*", "prior", "prior.*")


@dataclass
class Dynamics(Command):
    """Judge if a small game converges: the eigenvalues of its vector field and its trajectories.

      ganlab dynamics loss=non_saturating reg=r1
      ganlab dynamics loss=wasserstein game.update=simultaneous optimizer.generator.momentum=0.5
      ganlab dynamics table      published methods, and every loss and regularizer that is installed

    The last line is "verdict: W": converges, converges sublinearly, cycles, diverges or undecided.

    Args:
        problem: dirac, linear_quadratic, gaussian
        iterations: most iterations of a trajectory
        out: the picture, .png, .svg or .pdf; null: none
        more: loss, reg, game and optimizer.PLAYER, which mean what they mean in `ganlab train`

    Both players have optimizer sgd with lr=0.05 here unless you say otherwise. See docs/dynamics.md.
    """

    what: Annotated[Sequence[str], Word("[table]")] = ()
    problem: str = "dirac"
    iterations: Annotated[int, at_least(100)] = 4000
    out: Annotated[str | None, PATH] = "dynamics.png"
    more: Annotated[Sequence[str], Passed(_OPTIONS, "loss=, reg=, game.OPTION=, optimizer.PLAYER.OPTION=")] = ()

    def __call__(self) -> int:
        if self.what:
            return self._print_table()
        from ganlab.dynamics import figures, laboratory, sentences

        found = laboratory.study(self.problem, self.more, self.iterations)
        *lines, last = sentences.about(found)
        print("\n".join(lines))
        if self.out is not None:
            figures.write(found, Path(self.out))
            print(f"picture: {self.out}")
        print(last)
        return 0

    def _print_table(self) -> int:
        if list(self.what) != ["table"]:
            raise GanlabError(f"`ganlab dynamics` takes options, or the word table, got {' '.join(self.what)!r}.")
        if changed := self.changed(["problem", "iterations", "out", "more"]):
            raise GanlabError(f"`ganlab dynamics table` has its own games: leave out {', '.join(changed)}.")
        from ganlab.dynamics import table

        for title, rows in (("Published methods", table.published()), ("Installed components", table.installed())):
            print(f"{title}, at the Dirac\n")
            print("\n".join(table.text(list(table.lines(rows)))), end="\n\n", flush=True)
        return 0
