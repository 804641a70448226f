"""The standings of a scoreboard: its cells sorted, with intervals, as text, CSV and a page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlab.core import files
from ganlab.dynamics.cells import Cell
from ganlab.dynamics.contest import DEVIATIONS
from ganlab.dynamics.scoreboard import Board, Checked, Result
from ganlab.metrics.intervals import within
from ganlab.reports import pages
from ganlab.reports.numbers import interval, interval_on_page, number, on_page, probability
from ganlab.statistics import intervals
from ganlab.statistics.intervals import Interval
from ganlab.statistics.paired import LEVEL, holm, paired

PAGE, TABLE = "scoreboard.html", "table.csv"
COLUMNS = ("covered", "good", "modes_found")
_LISTED = 12  # rows of a data set in the terminal


@dataclass(frozen=True)
class Row:
    """A cell of one data set, with the means over its seeds and their intervals of 95 %.

    Args:
        result: Of the cell.
        covered, good, modes_found: See `ganlab.dynamics.contest.Coverage`.
        seconds: Mean processor time of a training.
        p: Of the paired test that it covers as much as the first row, after Holm's correction for all rows of the data
            set; None for the first row, and with one seed.
    """

    result: Result
    covered: Interval
    good: Interval
    modes_found: Interval
    seconds: float
    p: float | None = None

    @property
    def cell(self) -> Cell:
        return self.result.cell


def standings(results: Sequence[Result]) -> dict[str, list[Row]]:
    """Return the rows of each data set, those that cover most first."""
    found: dict[str, list[Row]] = {}
    for result in results:
        found.setdefault(result.cell.problem, []).append(_row(result))
    return {problem: _compared(sorted(rows, key=lambda row: -row.covered.value)) for problem, rows in found.items()}


def _row(result: Result) -> Row:
    def over_seeds(name: str, most: float) -> Interval:
        mean = intervals.mean([float(getattr(one, name)) for one in result.trained])
        if mean.low is None or mean.high is None:
            return mean
        return Interval(mean.value, *within((mean.low, mean.high), 0, most))

    seconds = intervals.mean([one.seconds for one in result.trained]).value
    return Row(
        result,
        over_seeds("covered", 1),
        over_seeds("good", 1),
        over_seeds("modes_found", result.modes_of_data),
        seconds,
    )


def _compared(rows: Sequence[Row]) -> list[Row]:
    first, *others = rows
    tests = [
        paired([a.covered - b.covered for a, b in zip(first.result.trained, row.result.trained, strict=True)]).p
        for row in others
    ]
    if any(p is None for p in tests):
        return list(rows)
    corrected = holm([p for p in tests if p is not None])
    return [
        first,
        *(
            Row(row.result, row.covered, row.good, row.modes_found, row.seconds, p)
            for row, p in zip(others, corrected, strict=True)
        ),
    ]


def text(found: dict[str, list[Row]]) -> Iterator[str]:
    """Yield the first rows of each data set as lines of a terminal."""
    for problem, rows in found.items():
        head = (problem, *COLUMNS, "rate", "seconds")
        body = [
            (f"{row.cell.loss} {row.cell.reg}", *(_in_terminal(getattr(row, name)) for name in COLUMNS),
             f"{row.result.rate:g}", f"{row.seconds:.3g}")
            for row in rows[:_LISTED]
        ]  # fmt: skip
        width = [max(map(len, column)) for column in zip(head, *body, strict=True)]
        yield from ("  ".join(f"{c:<{w}}" for c, w in zip(line, width, strict=True)).rstrip() for line in (head, *body))
        if len(rows) > _LISTED:
            yield f"and {len(rows) - _LISTED} more"
        yield ""


def _in_terminal(one: Interval) -> str:
    ends = interval(one.low, one.high)
    return number(one.value, one.low, one.high) + (f" [{ends}]" if ends else "")


def write(board: Board, results: Sequence[Result], refused: Sequence[Checked], command: str) -> Path:
    """Write the table and the page into the folder of a scoreboard; return the page.

    Raises:
        GanlabError: If they cannot be written.
    """
    found = standings(results)
    files.write_text(board.folder / TABLE, _csv(found))
    return pages.save(
        board.folder / PAGE,
        "scoreboard.html",
        title="Who finds all modes?",
        sections=[_section(board, problem, rows) for problem, rows in found.items()],
        refused=_reasons(refused),
        settings=board.settings,
        seeds=f"{board.settings.seeds} seed{'s' if board.settings.seeds > 1 else ''}",
        deviations=f"{DEVIATIONS:g}",
        level=LEVEL,
        command=command,
    )


def _csv(found: dict[str, list[Row]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    ends = [f"{name}{end}" for name in COLUMNS for end in ("", "_low", "_high")]
    writer.writerow(["problem", "loss", "reg", "rate", "seeds", *ends, "seconds", "p_holm"])
    for problem, rows in found.items():
        for row in rows:
            numbers = [x for name in COLUMNS for x in _numbers(getattr(row, name))]
            shown = ["" if x is None else f"{x:.6g}" for x in (*numbers, row.seconds, row.p)]
            rate, seeds = f"{row.result.rate:g}", len(row.result.trained)
            writer.writerow([problem, row.cell.loss, row.cell.reg, rate, seeds, *shown])
    return text.getvalue()


def _numbers(one: Interval) -> tuple[float | None, ...]:
    return one.value, one.low, one.high


def _section(board: Board, problem: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Return a data set as the template wants it: its matrix of losses and regularizers, and its rows."""
    losses, regs = (list(dict.fromkeys(getattr(row.cell, part) for row in rows)) for part in ("loss", "reg"))
    by_cell = {(row.cell.loss, row.cell.reg): row for row in rows}
    matrix = [(loss, [_square(board, by_cell.get((loss, reg))) for reg in regs]) for loss in losses]
    of = rows[0].result.modes_of_data
    first = rows[0]
    return {
        "problem": problem,
        "total": of,
        "headline": f"On {problem}, loss={first.cell.loss} with reg={first.cell.reg} covers "
        f"{100 * first.covered.value:.0f} % of the data, and finds {first.modes_found.value:.2g} of {of} modes.",
        "tied": sum(1 for row in rows[1:] if row.p is not None and row.p >= LEVEL),
        "regs": regs,
        "matrix": matrix,
        "holes": any(square is None for _, squares in matrix for square in squares),
        "rows": [_line(row) for row in rows],
    }


def _square(board: Board, row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    path = board.path(row.cell, ".webp")
    shown = pages.embedded(files.read(path), row.cell.name, kind="webp").source if path.exists() else ""
    return {
        "name": f"{row.cell.loss} {row.cell.reg}",
        "picture": shown,
        "covered": f"{100 * row.covered.value:.0f} %",
        "found": f"{row.modes_found.value:.2g}",
        "shade": round(100 * row.covered.value),
    }


def _line(row: Row) -> dict[str, Any]:
    cells = []
    for name in COLUMNS:
        one, scale = getattr(row, name), 1.0 if name == "modes_found" else 100.0
        value, low, high = (None if x is None else scale * x for x in _numbers(one))
        cells.append((on_page(value, low, high), interval_on_page(low, high)))
    return {
        "loss": row.cell.loss,
        "reg": row.cell.reg,
        "cells": cells,
        "rate": f"{row.result.rate:g}",
        "seconds": f"{row.seconds:.3g}",
        "p": probability(row.p),
    }


def _reasons(refused: Sequence[Checked]) -> list[tuple[str, str]]:
    """Return what could not be trained by its reason: a loss or a regularizer, or pairs of them."""
    found: dict[str, list[str]] = {}
    for one in refused:
        found.setdefault(one.refusal, []).append(f"{one.cell.loss} {one.cell.reg}")
    return [(", ".join(dict.fromkeys(names)), reason) for reason, names in found.items()]
