"""The options of ``ganlab dynamics scoreboard``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Annotated

from ganlab.commands.command import AS_TYPED
from ganlab.core.errors import GanlabError
from ganlab.core.ranges import Positive, at_least

_QUALITY = 60  # of the films


@dataclass
class Contests:
    """Losses and regularizers that are compared on points.

    Args:
        losses: of the scoreboard: all, or names with commas
        regs: of the scoreboard: all, or names with commas; sn+r1 is both together, r1:gamma=0.1 one with its option
        problems: of the scoreboard: data sets of points whose modes are known
        rates: of the scoreboard: learning rates, of which each pair takes its best
        seeds: of the scoreboard: trainings of each pair with that rate
        kimg: of the scoreboard: thousands of real images of each training
        hours: of the scoreboard: the most that it may take
        jobs: of the scoreboard: processes, of one thread each
    """

    losses: Annotated[str, AS_TYPED] = field(default="all", kw_only=True)
    regs: Annotated[str, AS_TYPED] = field(default="none,r1,gradient_penalty,sn", kw_only=True)
    problems: Annotated[str, AS_TYPED] = field(default="ring,grid", kw_only=True)
    rates: Annotated[str, AS_TYPED] = field(default="1e-3,3e-3", kw_only=True)
    seeds: Annotated[int, at_least(1)] = field(default=3, kw_only=True)
    kimg: Positive = field(default=256, kw_only=True)
    hours: Positive = field(default=24, kw_only=True)
    jobs: Annotated[int, at_least(1)] = field(default=1, kw_only=True)

    def score(self, folder: Path, words: Sequence[str]) -> int:
        """Train what the scoreboard in a folder lacks, and write its page."""
        from ganlab.core import files
        from ganlab.dynamics import cells, scoreboard, standings
        from ganlab.pictures import animation

        losses, regs = cells.names("loss", _listed(self.losses)), cells.names("reg", _listed(self.regs))
        problems = _listed(self.problems)
        if not problems:
            raise GanlabError("problems= wants data sets of points, such as problems=ring,grid.")
        settings = scoreboard.Settings(self.kimg, _rates(self.rates), self.seeds, tuple(words))
        board = scoreboard.Board(folder, settings)
        wanted = cells.of(problems, losses, regs)
        missing = board.missing(wanted)
        print(f"{len(wanted) - len(missing)} of {len(wanted)} cells are done; looking at the others", flush=True)
        found = scoreboard.check_all(missing, settings, self.hours, self.jobs, partial(print, flush=True))
        given = {"loss": _listed(self.losses), "reg": _listed(self.regs), "problem": problems}
        named = {part: several for part, several in given.items() if several != [cells.ALL]}
        scoreboard.refuse_named(found, [cell for cell in wanted if cell not in missing], named)
        refused = [one for one in found if one.refusal]
        seconds = sum(one.seconds for one in found) / self.jobs
        todo = len(found) - len(refused)
        print(f"{todo} cells to train, about {scoreboard.duration(seconds)}; {len(refused)} are left out", flush=True)
        draw = partial(animation.write, back=False, quality=_QUALITY)
        for number, result in enumerate(board.train(found, self.jobs, draw), 1):
            shares = ", ".join(f"{100 * one.covered:.0f} %" for one in result.trained)
            print(f"{number} of {todo}: {' '.join(vars(result.cell).values())}: covered {shares}", flush=True)
        results = [each for cell in wanted if (each := board.result(cell)) is not None]
        if not results:
            raise GanlabError(f"Nothing can be trained: {refused[0].refusal}")
        page = standings.write(board, results, refused, self._command(words))
        print("\n".join(standings.text(standings.standings(results))))
        print(f"written: {files.typed(page.with_name(standings.TABLE))}\nto look at: {files.typed(page)}")
        return 0

    def _command(self, words: Sequence[str]) -> str:
        """Return the words that make the same scoreboard."""
        known = {one.name: one.default for one in fields(Contests)}
        own = [f"{name}={_typed(getattr(self, name))}" for name, was in known.items() if getattr(self, name) != was]
        return " ".join(["ganlab dynamics scoreboard", *own, *words])


def _typed(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(text: str) -> list[str]:
    """Return the parts of a list with or without brackets."""
    return [part.strip() for part in text.strip("[]'\"").split(",") if part.strip()]


def _rates(text: str) -> tuple[float, ...]:
    try:
        found = tuple(map(float, _listed(text)))
    except ValueError:
        found = ()
    if not found or not all(math.isfinite(rate) and rate > 0 for rate in found) or len(set(found)) < len(found):
        raise GanlabError(f"rates must be different positive numbers, such as rates=1e-3,3e-3, got {text}.")
    return found
