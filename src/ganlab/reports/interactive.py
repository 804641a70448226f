"""Pages with curves that a reader zooms, hides and points at, and with grids under a slider over training.

The curves are uPlot's, which lies in the folder assets with its licence. A page runs these scripts alone: its policy
names their hashes, so that nothing in a run folder can run, should it ever escape from its quotes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ganlab.contracts.figures import Chart
from ganlab.reports import pages
from ganlab.reports.grids import Frame

_ASSETS = Path(__file__).with_name("assets")
_LIBRARY = "uPlot/uPlot.iife.min.js"
_OWN = ("memory.js", "plots.js", "grids.js", "differences.js", "parallel.js")
KIMG = "kimg"  # the axis that a reader can change to images and seconds

Values = Sequence[float | None]


@dataclass(frozen=True)
class Trace:
    """A line of a plot.

    Args:
        name: In the legend; lines of one name are hidden together.
        x: Ascending.
        y: As many; None: a gap.
        low, high: Ends of the band around it, as many; empty: no band.
        each: Further lines of the same x, such as single seeds.
        labels: A text for each point instead of its value; empty: its value.
        clock: Name of the clock that turns its kimg into seconds; empty: none.
        place: From 1 on: its colour and dashes.
    """

    name: str
    x: Sequence[float]
    y: Values
    low: Values = ()
    high: Values = ()
    each: Sequence[Values] = ()
    labels: Sequence[str] = ()
    clock: str = ""
    place: int = 1


@dataclass(frozen=True)
class Plot:
    """A plot of lines.

    Args:
        title: What it shows.
        x: The axis: `KIMG`, or another one, which is fixed.
        traces: Its lines.
        note: How to read it, in a few words.
        level: A horizontal line to compare with: its name and its height.
        logarithmic: Its vertical axis is logarithmic until a reader changes that.
    """

    title: str
    x: str
    traces: Sequence[Trace]
    note: str = ""
    level: tuple[str, float] | None = None
    logarithmic: bool = False

    def plain(self) -> dict[str, Any]:
        """Return it as the script reads it."""
        return {
            "x": self.x,
            "logarithmic": self.logarithmic,
            "level": None if self.level is None else {"name": self.level[0], "value": self.level[1]},
            "traces": [
                {
                    "name": trace.name,
                    "x": trace.x,
                    "y": trace.y,
                    "low": trace.low or None,
                    "high": trace.high or None,
                    "each": trace.each,
                    "labels": trace.labels or None,
                    "clock": trace.clock,
                    "place": trace.place,
                }
                for trace in self.traces
            ],
        }


@dataclass(frozen=True)
class Row:
    """The grids of a configuration.

    Args:
        name: Its name.
        seeds: Grids of a run by its seed.
    """

    name: str
    seeds: Mapping[str, Sequence[Frame]] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return the places of the grids, without the pictures, as the script reads them."""
        return {
            "name": self.name,
            "seeds": {
                seed: {"kimg": [frame.kimg for frame in frames], "width": max(frame.width for frame in frames)}
                for seed, frames in self.seeds.items()
                if frames
            },
        }


def of_chart(chart: Chart, clock: str = "") -> Plot:
    """Return a chart as a plot; points that are not finite, or go back, are left out."""
    traces = []
    for place, line in enumerate(chart.lines, start=1):
        kept: list[tuple[float, float]] = []
        for x, y in line.points:
            if math.isfinite(x) and math.isfinite(y) and (not kept or x > kept[-1][0]):
                kept.append((x, y))
        ends = {x: (low, high) for x, low, high in line.band}
        band = [ends.get(x, (None, None)) for x, _ in kept] if ends else []
        traces.append(
            Trace(
                line.name,
                [x for x, _ in kept],
                [y for _, y in kept],
                [low for low, _ in band],
                [high for _, high in band],
                clock=clock,
                place=place,
            )
        )
    return Plot(chart.title, chart.x, traces, chart.note, chart.level, chart.logarithmic)


def clock(kimg: Sequence[float], seconds: Sequence[float]) -> dict[str, Sequence[float]]:
    """Return a clock for a page: seconds of training by kimg, at no more than 200 places."""
    step = math.ceil(len(kimg) / 200) or 1
    places = range((len(kimg) - 1) % step, len(kimg), step)
    return {"kimg": [kimg[place] for place in places], "seconds": [seconds[place] for place in places]}


def save(path: Path, template: str, clocks: Mapping[str, Any], refresh_seconds: int = 0, **content: Any) -> Path:
    """Write a page, whole or not at all.

    Args:
        path: The file.
        template: Extends ``interactive.html``.
        clocks: `clock` by the name that traces have.
        refresh_seconds: The page loads itself again so often; 0: never.
        content: What the template names.

    Raises:
        GanlabError: If it cannot be written.
    """
    return pages.save(
        path, template, **pages.with_scripts(_scripts()), library_style=_asset("uPlot/uPlot.min.css"), clocks=clocks,
        refresh_seconds=refresh_seconds, **content,
    )  # fmt: skip


@cache
def _scripts() -> list[Any]:
    return [_asset(_LIBRARY), _asset(*_OWN)]


def _asset(*names: str) -> Any:
    from markupsafe import Markup

    return Markup("\n".join((_ASSETS / name).read_text(encoding="utf-8") for name in names))
