"""Scores as a table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ganlab.evaluation.scores import title
from ganlab.reports.numbers import interval, number
from ganlab.reports.words import BETTER

_SIDE_BY_SIDE = 3  # more records would be wider than a terminal


def table(records: Sequence[Mapping[str, Any]], headings: Sequence[str] = ()) -> str:
    """Return a table with a row for each number and a column for each record, three records at a time.

    Numbers have their intervals of 95 %.

    Args:
        headings: One for each column; empty: the subjects. A score that chose the checkpoint is marked.
    """
    headings = headings or [title(record) for record in records]
    marks = [f"{h} (selected on)" if r["selected_on"] else h for h, r in zip(headings, records, strict=True)]
    parts = range(0, len(records), _SIDE_BY_SIDE)
    return "\n\n".join(_part(records[i : i + _SIDE_BY_SIDE], marks[i : i + _SIDE_BY_SIDE]) for i in parts)


def _part(records: Sequence[Mapping[str, Any]], headings: Sequence[str]) -> str:
    names = list(dict.fromkeys(name for record in records for name in record["values"]))
    rows = [["", *headings]]
    for name in names:
        cells = [_cell(record["values"].get(name)) for record in records]
        value = next(record["values"][name] for record in records if name in record["values"])
        real = f", real {number(value['real'], value['low'], value['high'])}" if value["real"] is not None else ""
        about = "; ".join(filter(None, [BETTER.get(value["better"], "") + real, value["about"]]))
        rows.append([name, *cells, about.lstrip(", ")])
    width = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(records) + 1)]
    lines = []
    for row in rows:
        cells = [f"{cell:<{width[0]}}" if i == 0 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, width))]  # noqa: B905
        lines.append("  ".join([*cells, *row[len(width) :]]).rstrip())
    return "\n".join(lines)


def _cell(value: Mapping[str, Any] | None) -> str:
    if value is None or value["value"] is None:
        return "-"
    low, high = value["low"], value["high"]
    ends = interval(low, high, ", ")
    return number(value["value"], low, high) + (f" [{ends}]" if ends else "")
