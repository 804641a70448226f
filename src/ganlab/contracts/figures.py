"""Figures that a score brings along: charts, tables and grids of images. A page shows them as they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

Cell = str | float | None
"""A text as it is, a number that the page rounds, or nothing."""


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Args:
        name: Its name in the legend.
        points: (x, y), drawn in this order; points that are not finite are left out.
        band: (x, low, high) of an interval around it.
        labels: A text for each point, shown when a reader points at it; empty: its numbers.
        written: The labels are also written beside the points.
    """

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()
    labels: Sequence[str] = ()
    written: bool = False


@dataclass(frozen=True)
class Chart:
    """A line chart.

    Args:
        title: What it shows.
        x: Label of the horizontal axis, with its unit.
        y: Label of the vertical axis, with its unit.
        lines: At most three have colours of their own.
        note: How to read it, in a few words.
        level: A horizontal line to compare with: its name and its height.
        logarithmic: On a page whose reader can change that, its vertical axis begins as a logarithmic one.
    """

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    note: str = ""
    level: tuple[str, float] | None = None
    logarithmic: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        title: What it shows.
        heads: One a column.
        rows: Cells, as many as there are heads.
        note: How to read it, in a few words.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True)
class Grid:
    """Images side by side.

    Args:
        title: What it shows.
        images: uint8 (N, C, H, W), row by row.
        columns: Images in a row.
        note: How to read it, in a few words.
    """

    title: str
    images: Tensor
    columns: int
    note: str = ""


Figure = Chart | Table | Grid
