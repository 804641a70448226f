"""The convergence table: theory beside simulation, for published methods and for everything that is installed."""

from __future__ import annotations

import cmath
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
import yaml

from ganlab.core import registry
from ganlab.core.errors import GanlabError
from ganlab.dynamics import building, laboratory, verdicts
from ganlab.dynamics.field import Field
from ganlab.dynamics.sentences import values

_FILE = Path(__file__).with_name("table.yaml")
_PROBLEM = "dirac"
_WORKERS = 2
_CLOSE = 1e-6  # of an eigenvalue and its closed form
RULES = {"in turns": "game.update=alternating", "together": "game.update=simultaneous"}
AS_WRITTEN = "as written"


@dataclass(frozen=True)
class Row:
    """A method of the table.

    Args:
        name: Its name.
        words: As in ``ganlab train``.
        rules: Names of `RULES`, or `AS_WRITTEN`.
        closed: Eigenvalues of the flow by the closed form.
        form: The closed form.
        about: Its source.
    """

    name: str
    words: tuple[str, ...]
    rules: tuple[str, ...] = tuple(RULES)
    closed: tuple[complex, ...] = ()
    form: str = ""
    about: str = ""


@dataclass(frozen=True)
class Line:
    """A row by one rule, with what was found.

    Args:
        row: The row.
        rule: The name of the rule.
        flow: Eigenvalues of the flow, in words.
        error: Largest difference from the closed form; None where there is none.
        modulus: Largest modulus of an eigenvalue of the map; None where it has none.
        theory: The word of theory.
        simulation: The word of the simulation.
        word: The verdict.
        note: Where the two differ and why, why theory has no say, or why the combination is refused.
    """

    row: Row
    rule: str
    flow: str
    error: float | None
    modulus: float | None
    theory: str
    simulation: str
    word: str
    note: str


@cache
def _read() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return found


def published() -> list[Row]:
    """Return the rows of published methods."""
    return [
        Row(
            one["name"],
            tuple(one["words"].split()),
            tuple(one.get("rules", RULES)),
            _closed(one),
            one.get("form", ""),
            one["about"],
        )
        for one in _read()["rows"]
    ]


def installed() -> list[Row]:
    """Return a row for each installed loss and regularizer, those of plug-ins included, with its default options."""
    rule = tuple(RULES)[:1]
    rates = tuple(f"optimizer.{player}.lr={_read()['rates_of_installed']}" for player in building.NETWORKS)
    base = _read()["losses"]
    losses = [Row(f"loss={name}", (f"loss={name}", *rates), rule) for name in registry.names("loss")]
    return losses + [Row(f"reg={name}", (base, f"reg={name}", *rates), rule) for name in registry.names("reg")]


def _closed(one: dict[str, Any]) -> tuple[complex, ...]:
    if "slope" not in one:
        return ()
    d, g, s = (float(one.get(name, 0)) for name in ("damping", "generator", "slope"))
    root = cmath.sqrt((d - g) ** 2 / 4 - s**2)
    return (-(d + g) / 2 + root, -(d + g) / 2 - root)


def lines(rows: Sequence[Row], iterations: int | None = None) -> Iterator[Line]:
    """Yield the lines of rows, as they are found, in order; two processes work on them."""
    work = partial(of_row, iterations=iterations or _read()["iterations"])
    workers = min(_WORKERS, os.cpu_count() or 1, len(rows))
    if workers < 2:
        for row in rows:
            yield from work(row)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for found in pool.map(work, rows):
            yield from found


def of_row(row: Row, iterations: int) -> list[Line]:
    """Return the lines of one row."""
    found, before = [], None
    rates = [f"optimizer.{player}.lr={_read()['rates']}" for player in building.NETWORKS]
    rates = [word for word in rates if not any(own.startswith(word.partition("=")[0]) for own in row.words)]
    for rule in row.rules:
        words = [*row.words, *rates, *([RULES[rule]] if rule in RULES else [])]
        try:
            play = building.build(building.problem(_PROBLEM), building.configuration(words))
        except GanlabError as error:
            return [Line(row, rule, "", None, None, "", "", "refused", str(error))]
        before = Field(play, before)
        found.append(_line(row, rule, laboratory.findings(before, iterations)))
    return found


def _line(row: Row, rule: str, found: laboratory.Findings) -> Line:
    theory, simulation = found.theory.verdict, found.simulation
    flow, error = found.theory.flow, None
    if row.closed and flow is not None:
        wanted = torch.tensor(row.closed, dtype=torch.complex128)
        error = float(min((flow - wanted).abs().max(), (flow - wanted.flip(0)).abs().max()))
    note = verdicts.disagreement(theory, simulation) or ("" if theory.decided else theory.reason)
    if not found.verdict.decided:
        note = f"{note}; {simulation.reason}"
    modulus = None if found.theory.map is None else float(found.theory.map[0].abs())
    shown = "" if flow is None else values(flow)
    return Line(row, rule, shown, error, modulus, theory.word, simulation.word, found.verdict.word, note)


HEADINGS = ("method", "rule", "flow", "closed form", "max |λ|", "theory", "simulation", "verdict")


def text(found: Sequence[Line]) -> Iterator[str]:
    """Yield a table as lines of a terminal, with its notes below."""
    notes: dict[str, int] = {}
    body = []
    for one in found:
        form = one.row.form
        if one.error is not None:
            form = f"{form} {'=' if one.error < _CLOSE * 1e2 else f'≠ by {one.error:.2g}'}"
        mark = f" [{notes.setdefault(one.note, len(notes) + 1)}]" if one.note else ""
        modulus = "" if one.modulus is None else f"{one.modulus:.6f}"
        body.append((one.row.name, one.rule, one.flow, form, modulus, one.theory, one.simulation, one.word + mark))
    width = [max(map(len, column)) for column in zip(HEADINGS, *body, strict=True)]
    for cells in (HEADINGS, tuple("-" * w for w in width), *body):
        yield "  ".join(f"{cell:<{w}}" for cell, w in zip(cells, width, strict=True)).rstrip()
    if notes:
        yield ""
    yield from (f"[{number}] {note}" for note, number in notes.items())
