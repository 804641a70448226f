"""Figures of scores in a line of evaluation.jsonl: written as JSON, and read back with a check of every part."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ganlab.contracts.figures import Cell, Chart, Figure, Grid, Line, Table
from ganlab.core.differences import said
from ganlab.core.json_lines import is_number


@dataclass(frozen=True)
class Stored:
    """A grid of images that lies in the folder.

    Args:
        title, note: Those of the grid.
        path: Of a PNG, relative to the folder.
    """

    title: str
    path: str
    note: str = ""


Shown = Chart | Table | Stored


def plain(figure: Figure, path: str = "") -> dict[str, Any]:
    """Return a figure as JSON; of a grid the ``path`` of its file, relative to the folder."""
    if isinstance(figure, Grid):
        return {"kind": "grid", **asdict(Stored(figure.title, path, figure.note))}
    return {"kind": "chart" if isinstance(figure, Chart) else "table", **asdict(figure)}


def parsed(node: Any) -> Shown:
    """Read a figure.

    Raises:
        ValueError: If it is none; the message continues a sentence about its key.
    """
    kind = node.get("kind") if isinstance(node, dict) else None
    if not isinstance(kind, str) or kind not in _READERS:
        raise ValueError(f" must be a chart, a table or a grid, got {said(node)}")
    return _READERS[kind](node)


def _chart(node: dict[str, Any]) -> Chart:
    level = node.get("level")
    if level is not None:
        name, height = _row(level, 2, ".level")
        if not isinstance(name, str):
            raise ValueError(f".level must begin with a text, got {said(name)}")
        level = (name, _number(height, ".level"))
    title, x, y, note = (_text(node, key) for key in ("title", "x", "y", "note"))
    return Chart(title, x, y, [_line(line) for line in _list(node, "lines")], note, level)


def _line(node: Any) -> Line:
    if not isinstance(node, dict):
        raise ValueError(f".lines must be mappings, got {said(node)}")
    points = [_numbers(point, 2, ".points") for point in _list(node, "points")]
    band = [_numbers(row, 3, ".band") for row in _list(node, "band")]
    labels, written = _list(node, "labels"), node.get("written", False)
    if any(not isinstance(label, str) for label in labels) or len(labels) not in (0, len(points)):
        raise ValueError(f".labels must be texts, one a point, got {said(labels)}")
    if not isinstance(written, bool):
        raise ValueError(f".written must be true or false, got {said(written)}")
    return Line(_text(node, "name"), [(x, y) for x, y in points], [(x, a, b) for x, a, b in band], labels, written)


def _table(node: dict[str, Any]) -> Table:
    heads = _list(node, "heads")
    if any(not isinstance(head, str) for head in heads):
        raise ValueError(f".heads must be texts, got {said(heads)}")
    rows: list[list[Cell]] = []
    for row in _list(node, "rows"):
        rows.append(_row(row, len(heads), ".rows"))
        for cell in rows[-1]:
            if not (cell is None or isinstance(cell, str) or is_number(cell)):
                raise ValueError(f".rows must hold texts and numbers, got {said(cell)}")
    return Table(_text(node, "title"), heads, rows, _text(node, "note"))


def _stored(node: dict[str, Any]) -> Stored:
    return Stored(_text(node, "title"), _text(node, "path"), _text(node, "note"))


def _text(node: dict[str, Any], key: str) -> str:
    value = node.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f".{key} must be a text, got {said(value)}")
    return value


def _list(node: dict[str, Any], key: str) -> list[Any]:
    value = node.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f".{key} must be a list, got {said(value)}")
    return value


def _row(value: Any, length: int, where: str) -> list[Any]:
    if not isinstance(value, list) or len(value) != length:
        raise ValueError(f"{where} must be lists of {length}, got {said(value)}")
    return value


def _numbers(value: Any, length: int, where: str) -> list[float]:
    return [_number(number, where) for number in _row(value, length, where)]


def _number(value: Any, where: str) -> float:
    """NaN for null: JSON has no number that is not finite."""
    if value is None:
        return math.nan
    if not is_number(value):
        raise ValueError(f"{where} must hold numbers, got {said(value)}")
    return float(value)


_READERS: dict[str, Callable[[dict[str, Any]], Shown]] = {"chart": _chart, "table": _table, "grid": _stored}
