"""``ganlab dynamics``: which games converge, by theory and by trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from ganlab.commands.command import PATH, Command, Passed, Word
from ganlab.commands.contests import Contests
from ganlab.commands.landscapes import Landscapes, write
from ganlab.core.errors import GanlabError
from ganlab.core.ranges import Range

_OF_POINTS = ("data.*", "generator.*", "discriminator.*", "statistics.*", "seed")
_OPTIONS = ("loss", "loss.*", "reg", "reg.*", "game", "game.*", "optimizer/*", "optimizer.*", "prior", "prior.*")


@dataclass
class Dynamics(Contests, Landscapes, Command):
    """Judge if a small game converges: the eigenvalues of its vector field and its trajectories.

      ganlab dynamics loss=non_saturating reg=r1
      ganlab dynamics loss=wasserstein game.update=simultaneous optimizer.generator.momentum=0.5
      ganlab dynamics table      published methods, and every loss and regularizer that is installed
      ganlab dynamics page       a lecture to play with, in one file
      ganlab dynamics view=energy problem=ring loss=hinge reg=sn out=energy.webp
      ganlab dynamics view=energy loss=hinge reg=none beside="reg=r1" out=slopes.png
      ganlab dynamics view=pits out=pits.webp
      ganlab dynamics view=bounds
      ganlab dynamics scoreboard losses=all regs=all      who finds all modes, with seeds

    The last line is "verdict: W": converges, converges sublinearly, cycles, diverges or undecided.

    Args:
        problem: dirac, linear_quadratic, gaussian; or points on which networks are trained: ring, grid, gaussians,
            swiss_roll; null: dirac, and ring where a view trains networks
        view: verdict; or energy: the landscape that a discriminator digs while it is trained, and how samples roll in
            it; or pits: samples that roll with momentum on a fixed landscape; or bounds: slopes, norms and weights of
            discriminators that are clipped, penalised or normalized
        iterations: most iterations of a trajectory; those of training
        out: the picture, .png, .svg or .pdf; null: none. Of view=energy: energy.webp, or .png (start, middle, end),
            .webp, .gif or .mp4 (with ffmpeg); of view=pits: pits.png, or a film; of view=bounds: bounds.png. Of the
            page: dynamics.html, or another file. Of the scoreboard: the folder scoreboard, or another one; what it has
            is kept
        points: options of the points, of the networks, and the seed, which mean the same
        more: loss, reg, game and optimizer.PLAYER, which mean what they mean in `ganlab train`

    Both players have optimizer sgd with lr=0.05 here unless you say otherwise, and where networks are
    trained those of model=mlp. See docs/dynamics.md.
    """

    what: Annotated[Sequence[str], Word("[table|page|scoreboard]")] = ()
    problem: str | None = None
    view: Literal["verdict", "energy", "pits", "bounds"] = "verdict"
    iterations: Annotated[int, Range(least=100, most=10_000_000)] = 4000
    out: Annotated[str | None, PATH] = "dynamics.png"
    more: Annotated[Sequence[str], Passed(_OPTIONS, "loss=, reg=, game.OPTION=, optimizer.PLAYER.OPTION=")] = ()
    points: Annotated[
        Sequence[str], Passed(_OF_POINTS, "of trained networks: data.OPTION=, generator.OPTION=, seed=")
    ] = ()

    def __call__(self) -> int:
        if self.problem == "":
            raise GanlabError("problem= wants a name, as problem=dirac: leave it out for the default.")
        if self.what:
            return self._view(" ".join(self.what))
        if changed := self.changed(Contests.__dataclass_fields__):
            raise GanlabError(f"{changed[0]} goes with `ganlab dynamics scoreboard`.")
        if self.view != "verdict":
            return self._look()
        from ganlab.core import registry
        from ganlab.dynamics.problems import PROBLEMS

        problem = self.problem or "dirac"
        if problem not in PROBLEMS and problem in registry.names("data"):
            return self._trained(problem)
        if self.points:
            raise GanlabError(f"{self.points[0]} goes with view=energy, and with a problem that is trained.")
        from ganlab.core import files
        from ganlab.dynamics import figures, laboratory, sentences

        if self.out is not None:  # before the study, which takes seconds
            figures.kind_of(Path(self.out))
            files.refuse_unwritable(Path(self.out))
        found = laboratory.study(problem, self.more, self.iterations)
        *lines, last = sentences.about(found)
        print("\n".join(lines))
        if self.out is not None:
            figures.write(found, Path(self.out))
            print(f"picture: {self.out}")
        print(last)
        return 0

    def _view(self, word: str) -> int:
        views = {"table": self._print_table, "page": self._write_page, "scoreboard": self._score}
        if word not in views:
            raise GanlabError(f"`ganlab dynamics` takes options, or one of the words {', '.join(views)}, got {word!r}.")
        if word != "scoreboard" and (changed := self.changed(Contests.__dataclass_fields__)):
            raise GanlabError(f"{changed[0]} goes with `ganlab dynamics scoreboard`.")
        return views[word]()

    def _score(self) -> int:
        if changed := self.changed(["problem", "view", "iterations", "frames"]):
            raise GanlabError(
                f"`ganlab dynamics scoreboard` takes problems, losses, regs, rates, seeds and kimg: leave out "
                f"{', '.join(changed)}."
            )
        if self.out is None:
            raise GanlabError("A scoreboard needs a folder, such as out=scoreboard.")
        return self.score(Path(self.out if self.changed(["out"]) else "scoreboard"), [*self.more, *self.points])

    def _write_page(self) -> int:
        if changed := [*self.changed(["problem", "view", "iterations", "frames"]), *self.points, *self.more]:
            raise GanlabError(f"`ganlab dynamics page` lets its reader choose, and takes no {', '.join(changed)}.")
        from ganlab.dynamics import page

        path = Path(self.out or page.FILE) if self.changed(["out"]) else Path(page.FILE)
        if not path.is_dir() and path.suffix.lower() != ".html":
            raise GanlabError(f"out={self.out} must end in .html, or be a folder: the lecture is a page.")
        print(page.write(path / page.FILE if path.is_dir() else path))
        return 0

    def _print_table(self) -> int:
        if changed := [*self.changed(["problem", "view", "iterations", "frames", "out"]), *self.points, *self.more]:
            raise GanlabError(f"`ganlab dynamics table` has its own games, and takes no {', '.join(changed)}.")
        from ganlab.dynamics import table

        for title, rows in (("Published methods", table.published()), ("Installed components", table.installed())):
            print(f"{title}, at the Dirac\n")
            print("\n".join(table.text(list(table.lines(rows)))), end="\n\n", flush=True)
        return 0

    def _trained(self, problem: str) -> int:
        import torch

        from ganlab.core import files
        from ganlab.dynamics import trained, training

        out = None if self.out is None else Path(self.out)
        if out is not None and out.suffix.lower() != ".png":
            raise GanlabError(f"out must end in .png where a game is trained, got {self.out!r}.")
        if out is not None:
            files.refuse_unwritable(out)
        played = training.Training(training.configuration(problem, [*self.more, *self.points]))
        found, pictures = [], []
        for look in trained.looks(played, self.iterations):
            found.append(look)
            if look.iteration in (0, self.iterations) or len(found) == trained.LOOKS // 2 + 1:
                pictures.append(trained.picture(played, look))
        *lines, last = trained.lines(found, played, problem)
        print("\n".join(lines))
        if out is not None:
            write([torch.cat(pictures, 2)], out)
            print(f"picture: {out}")
        print(last)
        return 0

    def _look(self) -> int:
        """Show what is no verdict."""
        first = {"energy": "energy.webp", "pits": "pits.png", "bounds": "bounds.png"}[self.view]
        if self.out is None:
            raise GanlabError(f"view={self.view} needs a file, such as out={first}.")
        out = Path(self.out if self.changed(["out"]) else first)
        words = [*self.more, *self.points]
        if self.view == "pits":
            if idle := [*words, *self.changed(["problem", "iterations"])]:
                raise GanlabError(f"{idle[0]} has no effect: the landscape of view=pits stands still.")
            return self.show_pits(out)
        show = self.show_energy if self.view == "energy" else self.show_bounds
        return show(self.problem, self.iterations, out, words)
