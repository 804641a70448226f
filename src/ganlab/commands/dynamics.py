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
      ganlab dynamics page       a lecture to play with, in one file

    The last line is "verdict: W": converges, converges sublinearly, cycles, diverges or undecided.

    Args:
        problem: dirac, linear_quadratic, gaussian
        iterations: most iterations of a trajectory
        out: the picture, .png, .svg or .pdf; null: none. Of the page: dynamics.html, or another file
        more: loss, reg, game and optimizer.PLAYER, which mean what they mean in `ganlab train`

    Both players have optimizer sgd with lr=0.05 here unless you say otherwise. See docs/dynamics.md.
    """

    what: Annotated[Sequence[str], Word("[table|page]")] = ()
    problem: str = "dirac"
    iterations: Annotated[int, at_least(100)] = 4000
    out: Annotated[str | None, PATH] = "dynamics.png"
    more: Annotated[Sequence[str], Passed(_OPTIONS, "loss=, reg=, game.OPTION=, optimizer.PLAYER.OPTION=")] = ()

    def __call__(self) -> int:
        if self.what:
            return self._view(" ".join(self.what))
        from ganlab.dynamics import figures, laboratory, sentences

        found = laboratory.study(self.problem, self.more, self.iterations)
        *lines, last = sentences.about(found)
        print("\n".join(lines))
        if self.out is not None:
            figures.write(found, Path(self.out))
            print(f"picture: {self.out}")
        print(last)
        return 0

    def _view(self, word: str) -> int:
        views = {"table": self._print_table, "page": self._write_page}
        if word not in views:
            raise GanlabError(f"`ganlab dynamics` takes options, or one of the words {', '.join(views)}, got {word!r}.")
        return views[word]()

    def _write_page(self) -> int:
        if changed := self.changed(["problem", "iterations", "more"]):
            raise GanlabError(f"`ganlab dynamics page` lets its reader choose: leave out {', '.join(changed)}.")
        from ganlab.dynamics import page

        path = Path(self.out or page.FILE) if self.changed(["out"]) else Path(page.FILE)
        print(page.write(path / page.FILE if path.is_dir() else path))
        return 0

    def _print_table(self) -> int:
        if changed := self.changed(["problem", "iterations", "out", "more"]):
            raise GanlabError(f"`ganlab dynamics table` has its own games: leave out {', '.join(changed)}.")
        from ganlab.dynamics import table

        for title, rows in (("Published methods", table.published()), ("Installed components", table.installed())):
            print(f"{title}, at the Dirac\n")
            print("\n".join(table.text(list(table.lines(rows)))), end="\n\n", flush=True)
        return 0
