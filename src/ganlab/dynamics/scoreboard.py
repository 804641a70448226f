"""The scoreboard: which loss with which regularizer finds all modes, at an equal budget of images."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.dynamics.cells import Cell
from ganlab.dynamics.contest import Contestant

SETTINGS, CELLS = "scoreboard.json", "cells"
FRAMES = 14  # of the animation of a cell
_TOLD = 50  # cells that are looked at from one line to the next
_SEARCH_SEED = 0  # those that are reported begin after it
_OTHERS = 0.15  # of the time of the iterations, that samples and pictures take

Draw = Callable[[Sequence[Tensor], Path], None]


@dataclass(frozen=True)
class Settings:
    """The options that all cells of a scoreboard share.

    Args:
        kimg: Thousands of real images of each training.
        rates: Learning rates of both players that are tried; the one that covers most with seed 0 is taken.
        seeds: Trainings with that rate, with seeds from 1 on, which are reported.
        words: Options of all trainings, as in ``ganlab train``.
    """

    kimg: float
    rates: tuple[float, ...]
    seeds: int
    words: tuple[str, ...] = ()

    @property
    def trainings(self) -> int:
        """Trainings of a cell."""
        return self.seeds + (len(self.rates) if len(self.rates) > 1 else 0)


@dataclass(frozen=True)
class Trained:
    """The result of one training; see `ganlab.dynamics.contest.Coverage`.

    Args:
        seed: Of the run.
        modes_found, good, covered: As there.
        seconds: Processor time.
    """

    seed: int
    modes_found: int
    good: float
    covered: float
    seconds: float


@dataclass(frozen=True)
class Result:
    """The result of a cell.

    Args:
        cell: The cell.
        rate: The learning rate that was taken.
        search: Share of the data that is covered by each rate, as text.
        trained: A training for each seed.
        modes_of_data: Their number.
    """

    cell: Cell
    rate: float
    search: dict[str, float]
    trained: tuple[Trained, ...]
    modes_of_data: int


@dataclass(frozen=True)
class Checked:
    """A cell before it is trained.

    Args:
        cell: The cell.
        seconds: That its trainings will take; 0 where it is refused.
        refusal: Why it cannot be trained; empty: it can.
    """

    cell: Cell
    seconds: float
    refusal: str = ""


class Board:
    """A scoreboard in a folder: a file for the settings, and for each cell its result and its animation.

    Args:
        folder: Made when a cell is trained.
        settings: They must be those of the folder, if there is one.

    Raises:
        GanlabError: If the folder has a scoreboard with other settings, or can be none.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings
        self._described = json.loads(json.dumps(asdict(settings)))
        path = folder / SETTINGS
        files.refuse_unwritable(path)
        before = _read(path) if path.exists() else self._described
        if before != self._described:
            keys = self._described if isinstance(before, dict) else ()
            changed = next((key for key in keys if before.get(key) != self._described[key]), "description")
            raise GanlabError(
                f"{folder} has a scoreboard with another {changed}: give the same options to go on with it, or another "
                f"folder as out=."
            )

    def path(self, cell: Cell, suffix: str) -> Path:
        """Return the file of a cell, ``.json`` or ``.webp``."""
        return self.folder / CELLS / f"{cell.name}{suffix}"

    def result(self, cell: Cell) -> Result | None:
        """Return the result of a cell; None if it has none yet.

        Raises:
            GanlabError: If its file is damaged.
        """
        path = self.path(cell, ".json")
        if not path.exists():
            return None
        found = _read(path)
        try:
            trained = tuple(Trained(**each) for each in found["trained"])
            return Result(cell, float(found["rate"]), dict(found["search"]), trained, int(found["modes_of_data"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise GanlabError(f"{path} is damaged: remove it, and the cell is trained again.") from error

    def keep(self, result: Result) -> None:
        """Write the result of a cell, whole or not at all."""
        found = {name: value for name, value in asdict(result).items() if name != "cell"}
        files.write_text(self.path(result.cell, ".json"), json.dumps({**asdict(result.cell), **found}, indent=1))

    def missing(self, wanted: Sequence[Cell]) -> list[Cell]:
        """Return those of some cells that have no result yet."""
        return [cell for cell in wanted if self.result(cell) is None]

    def train(self, wanted: Sequence[Checked], jobs: int, draw: Draw) -> Iterator[Result]:
        """Train cells, and yield the result of each when it is in its file."""
        cells = [one.cell for one in wanted if not one.refusal]
        if cells:
            files.write_text(self.folder / SETTINGS, json.dumps(self._described))
        for result, pictures in _trained(cells, self.settings, jobs):
            film = self.path(result.cell, ".webp")
            try:
                draw([*pictures[-1:], *pictures], film)  # a page that does not play it shows the end
            except OSError as error:
                raise files.unwritable(film, error) from error
            self.keep(result)
            yield result


def check(cell: Cell, settings: Settings) -> Checked:
    """Build a cell, play some iterations, and return the time that it will take, or why it cannot be trained."""
    start = time.process_time()
    try:
        contestant = Contestant(cell.problem, _words(cell, settings, settings.rates[0], _SEARCH_SEED))
        built, one = time.process_time() - start, contestant.seconds()
    except GanlabError as error:
        return Checked(cell, 0.0, str(error))
    iterations = 1000 * settings.kimg / contestant.images()
    return Checked(cell, (built + one * iterations * (1 + _OTHERS)) * settings.trainings)


def check_all(
    wanted: Sequence[Cell], settings: Settings, hours: float, jobs: int, tell: Callable[[str], None] = print
) -> list[Checked]:
    """Look at cells; end where those so far take longer than was allowed.

    Args:
        tell: Takes a line now and then, with the time that all of them would take.

    Raises:
        GanlabError: With the time that all of them would take, if it is too long.
    """
    found: list[Checked] = []
    for cell in wanted:
        found.append(check(cell, settings))
        seconds = sum(one.seconds for one in found) / jobs
        all_of_them = seconds * len(wanted) / len(found)
        if seconds > 3600 * hours:
            refuse_long(all_of_them, hours)
        if len(found) % _TOLD == 0:
            tell(f"looked at {len(found)} of {len(wanted)}: about {duration(all_of_them)} in all")
    return found


def refuse_named(found: Sequence[Checked], done: Sequence[Cell], named: Mapping[str, Sequence[str]]) -> None:
    """Refuse a name that was given and goes with none of the others.

    Args:
        found: Cells that were looked at.
        done: Cells that have a result.
        named: Names that were given of each part of a cell: ``problem``, ``loss`` and ``reg``.

    Raises:
        GanlabError: With the reason that most cells of the first such have.
    """
    for part, given in named.items():
        playing = {getattr(cell, part) for cell in (*done, *(one.cell for one in found if not one.refusal))}
        for name in given:
            reasons = Counter(one.refusal for one in found if getattr(one.cell, part) == name)
            if reasons and name not in playing:
                raise GanlabError(reasons.most_common(1)[0][0])  # its own, not that of one of the others


def refuse_long(seconds: float, hours: float) -> None:
    """Refuse a scoreboard that takes longer than was allowed.

    Raises:
        GanlabError: With the time that it would take.
    """
    if seconds > 3600 * hours:
        raise GanlabError(
            f"The scoreboard would take about {duration(seconds)}, and hours={hours:g} allows less: give a smaller "
            f"kimg, fewer losses, regs, rates or seeds, or more hours."
        )


def duration(seconds: float) -> str:
    """Return a time in words: ``3.2 days``."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def train(cell: Cell, settings: Settings) -> tuple[Result, list[Tensor]]:
    """Train one cell: search for the rate with seed 0, then train with that rate and the other seeds.

    Returns:
        Its result, and the pictures of the first of these trainings.
    """
    images = 1000 * settings.kimg
    search: dict[str, float] = {}
    for rate in settings.rates if len(settings.rates) > 1 else ():
        contestant = Contestant(cell.problem, _words(cell, settings, rate, _SEARCH_SEED))
        contestant.play(images)
        search[f"{rate:g}"] = contestant.coverage().covered
    best = max(settings.rates, key=lambda rate: search.get(f"{rate:g}", 0.0))
    trained: list[Trained] = []
    pictures: list[Tensor] = []
    modes = 0
    for seed in range(_SEARCH_SEED + 1, _SEARCH_SEED + 1 + settings.seeds):
        contestant = Contestant(cell.problem, _words(cell, settings, best, seed))
        start = time.process_time()
        drawn = contestant.play(images, 0 if pictures else FRAMES)
        pictures = pictures or drawn
        found, modes = contestant.coverage(), len(contestant.modes.centres)
        trained.append(Trained(seed, found.modes, found.good, found.covered, time.process_time() - start))
    return Result(cell, best, search, tuple(trained), modes), pictures


def _words(cell: Cell, settings: Settings, rate: float, seed: int) -> list[str]:
    rates = [f"optimizer.{player}.lr={rate:g}" for player in ("generator", "discriminator")]
    return [*cell.words, *rates, f"seed={seed}", *settings.words]


def _trained(wanted: Sequence[Cell], settings: Settings, jobs: int) -> Iterator[tuple[Result, list[Tensor]]]:
    """Yield results as they are ready, in ``jobs`` processes of one thread each."""
    if jobs == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield from (train(cell, settings) for cell in wanted)
        finally:
            torch.set_num_threads(threads)
        return
    context = multiprocessing.get_context("spawn")
    most = max(1, min(jobs, len(wanted)))
    with ProcessPoolExecutor(most, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for future in as_completed([pool.submit(train, cell, settings) for cell in wanted]):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read(path: Path) -> Any:
    try:
        return json.loads(files.read(path))
    except OSError as error:
        raise files.unreadable(path, error) from error
    except ValueError as error:
        raise GanlabError(f"{path} is damaged: remove it, and it is made again.") from error
