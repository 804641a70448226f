"""Figures of an answer for a paper: SVG and PDF by matplotlib, which are also told apart in grey."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ganlab.comparisons import search_figures
from ganlab.comparisons.answer import Answer, Column
from ganlab.core import files
from ganlab.reports.interactive import Plot

FOLDER = "figures"
_KINDS = ("svg", "pdf")
_MAPS = 2
_CURVES = 3  # plots of scores during training
_WIDTH = 3.4  # inches: a column of a paper with two
_LONG = 22  # letters of a name, of which two lie side by side in a legend
_COLOURS = ("#2a78d6", "#d95f22", "#1f9e77", "#7a1fa2", "#2b2a28", "#8a7a8c", "#1c2a8c", "#6d1230")
_DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_MARKERS = "osD^v<>Xp*"
_OPTIONS: Any = {
    "font.size": 8, "axes.linewidth": 0.6, "axes.spines.top": False, "axes.spines.right": False,
    "text.parse_math": False, "text.usetex": False, "svg.fonttype": "none", "pdf.fonttype": 42,
    "svg.hashsalt": "ganlab", "legend.frameon": False, "legend.fontsize": 7,
}  # fmt: skip
_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # no letters, and XML allows none of them


def write(
    answer: Answer, curves: Sequence[Plot], maps: Sequence[Mapping[str, Any]], folder: Path
) -> dict[str, list[Path]]:
    """Write the figures: the scores with their intervals, heat maps, the scores over training, and those of a search;
    return the files by name.

    Args:
        maps: See `report.heat_map`.

    Raises:
        GanlabError: If they cannot be written.
    """
    import matplotlib

    column = (answer.metrics[0].name, answer.whiches[0])
    drawn: dict[str, Callable[[Any], None]] = {}
    if any(column in row.scores for row in answer.rows):
        drawn["scores"] = partial(_scores, answer=answer, column=column)
    for heat in maps[:_MAPS]:
        drawn[f"heat map of {heat['title']}"] = partial(_heat_map, heat=heat)
    for plot in curves[:_CURVES]:
        drawn[f"{plot.title} over training"] = partial(_curves, plot=plot)
    if answer.study is not None:
        drawn |= search_figures.drawings(answer.study, _printable)
    found = {}
    with matplotlib.rc_context(_OPTIONS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that its own font lacks
        for name, draw in drawn.items():
            found[name] = _saved(draw, folder / FOLDER / re.sub(r"[^\w-]+", "_", name, flags=re.ASCII))
    return found


def _saved(draw: Callable[[Any], None], path: Path) -> list[Path]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, 0.72 * _WIDTH), layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    written = []
    for kind in _KINDS:
        target = path.with_name(f"{path.name}.{kind}")
        try:
            with files.whole(target) as file:
                figure.savefig(file, format=kind, metadata={"Date" if kind == "svg" else "CreationDate": None})
        except OSError as error:
            raise files.unwritable(target, error) from error
        written.append(target)
    return written


def _scores(figure: Any, answer: Answer, column: Column) -> None:
    """Draw the mean of each configuration with its interval, and its seeds as open rings."""
    rows = [row for row in answer.rows if column in row.scores]
    figure.set_figheight(0.5 + 0.24 * len(rows))
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        score = row.scores[column]
        seeds = list(score.per_seed.values())
        axes.plot(seeds, [place] * len(seeds), "o", markersize=3.5, markerfacecolor="none", color="#8a8a86", zorder=2)
        if score.low is not None and score.high is not None:
            axes.plot([score.low, score.high], [place, place], color="black", linewidth=1.2, zorder=3)
        axes.plot(score.mean, place, "D", markersize=4, color="black", zorder=4)
    axes.set_yticks(range(len(rows)), [_printable(row.name) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(left=False)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.set_xlabel(_printable(" ".join(column)))


def _heat_map(figure: Any, heat: Mapping[str, Any]) -> None:
    """Draw the score of each pair of values, the darker the better."""
    down, across = [value for value, _ in heat["rows"]], heat["across"]
    figure.set_size_inches(max(_WIDTH, 1.0 + 0.72 * len(across)), 0.75 + 0.36 * len(down))
    axes = figure.add_subplot()
    shades = [[math.nan if shade is None else shade for _, _, shade in cells] for _, cells in heat["rows"]]
    axes.imshow(shades, cmap="Greys", vmin=-0.15, vmax=1.5, aspect="auto")
    for y, (_, cells) in enumerate(heat["rows"]):
        for x, (mean, ends, shade) in enumerate(cells):
            if shade is not None:
                text = f"{mean}\n{ends}" if ends else mean
                axes.text(x, y, text, ha="center", va="center", fontsize=6, color="white" if shade > 0.75 else "black")
    axes.set_xticks(range(len(across)), [_printable(value) for value in across])
    axes.set_yticks(range(len(down)), [_printable(value) for value in down])
    axes.tick_params(left=False, bottom=False)
    axes.set_ylabel(_printable(heat["keys"][0]))
    axes.set_xlabel(_printable(heat["keys"][1]))
    axes.set_title(_printable(f"{heat['title']}: {heat['note']}" if heat["note"] else heat["title"]), fontsize=7)


def _curves(figure: Any, plot: Plot) -> None:
    """Draw the mean of each configuration over training, with its band."""
    axes = figure.add_subplot()
    for trace in plot.traces:
        place = trace.place - 1
        colour = _COLOURS[place % len(_COLOURS)]
        if trace.low:
            axes.fill_between(trace.x, trace.low, trace.high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(
            trace.x, trace.y, color=colour, linestyle=_DASHES[place % len(_DASHES)], linewidth=1.2,
            marker=_MARKERS[place % len(_MARKERS)], markersize=3, markevery=max(1, len(trace.x) // 6),
            label=_printable(trace.name),
        )  # fmt: skip
    axes.set_xlabel(plot.x)
    axes.set_ylabel(_printable(plot.title))
    axes.grid(color="#e5e5e5", linewidth=0.5)
    longest = max((len(trace.name) for trace in plot.traces), default=1)
    columns = 2 if len(plot.traces) > 3 and longest <= _LONG else 1
    figure.set_figheight(0.62 * _WIDTH + 0.15 * math.ceil(len(plot.traces) / columns))
    figure.legend(loc="outside upper left", ncols=columns, fontsize=min(7.0, 11 * _LONG / longest))


def _printable(text: str) -> str:
    return _NO_TEXT.sub("�", text)
