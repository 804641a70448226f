"""Line charts as SVG inside a page, drawn by matplotlib and coloured by the page's style sheet.

matplotlib lays a chart out; its SVG is then reduced to shapes and texts with the classes of `page.css`, so that a chart
is small, follows the page's light or dark colours, and names nothing that another chart of the page could name too.
"""

from __future__ import annotations

import io
import math
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from ganlab.contracts.figures import Chart, Line
from ganlab.reports.numbers import on_page

WIDTH, HEIGHT = 420, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 40  # room for ticks and labels, in pixels
_MARKED = 40  # points that a line may have so that each gets a marker
_CHARACTER, _ROW = 6.5, 12.0  # width and height of a text of 11 pixels
_MARK = "chart "  # before the classes of a shape, in its id
_OPTIONS: Any = {
    "svg.fonttype": "none",
    "font.size": 11,
    "text.parse_math": False,
    "text.usetex": False,
    "path.simplify": False,
}
_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # no letters, and XML allows none of them


def svg(chart: Chart) -> str:
    """Return a chart as an SVG element; empty if no point is finite.

    Lines have the classes ``line s1``, ``line s2``, ..., their points and bands likewise.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    drawn = [_finite(line) for line in chart.lines]
    if not any(line.points for line in drawn):
        return ""
    with matplotlib.rc_context(_OPTIONS), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that its own font lacks: the reader's has them
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
        FigureCanvasSVG(figure)
        box = (LEFT / WIDTH, BOTTOM / HEIGHT, (WIDTH - LEFT - RIGHT) / WIDTH, (HEIGHT - TOP - BOTTOM) / HEIGHT)
        axes = figure.add_axes(box)
        _draw(axes, chart, drawn)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True)
    titles = {f"s{place}": iter(line.labels) for place, line in enumerate(drawn, start=1)}
    content = _reduced(ElementTree.fromstring(file.getvalue()), titles)
    label = escape(f"{chart.y} over {chart.x}")
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{content}</svg>'


def _draw(axes: Any, chart: Chart, drawn: Sequence[Line]) -> None:
    level = chart.level if chart.level is not None and math.isfinite(chart.level[1]) else None
    across = [x for line in drawn for x, _ in line.points]
    up = [y for line in drawn for y in (*(y for _, y in line.points), *(v for row in line.band for v in row[1:]))]
    axes.set_frame_on(False)
    axes.tick_params(bottom=False, left=False, pad=6)
    axes.set_xlabel(_printable(chart.x), labelpad=2)
    axes.autoscale(False)
    low, high = _ticked(axes.yaxis, up + ([level[1]] if level else []), 5)
    axes.set_ylim(min(low, *axes.get_yticks()), max(high, *axes.get_yticks()))  # the outer ticks frame the lines
    axes.set_xlim(_ticked(axes.xaxis, across, 6))
    axes.grid(axis="y", clip_on=False, gid=_MARK + "grid")
    for place, line in enumerate(drawn, start=1):
        if len(line.band) > 1:
            x, lower, upper = zip(*line.band, strict=True)
            axes.fill_between(x, lower, upper, linewidth=0, clip_on=False, gid=f"{_MARK}band s{place}")
        x, y = zip(*line.points, strict=True) if line.points else ((), ())
        marker = {"marker": "o"} if len(line.points) <= _MARKED else {}
        axes.plot(x, y, clip_on=False, gid=f"{_MARK}line s{place}", **marker)
    _write(axes, level, drawn)


def _ticked(axis: Any, values: Sequence[float], about: int) -> tuple[float, float]:
    """Give an axis ticks at round numbers, and return the range of the values."""
    from matplotlib.ticker import MaxNLocator

    low, high = min(values), max(values)
    if high - low <= 1e-12 * max(abs(low), abs(high)):  # nothing, or rounding
        spread = abs(low) / 2 or 1.0
        low, high = low - spread, high + spread
    ticks = MaxNLocator(about, steps=[1, 2, 5, 10]).tick_values(low, high)
    if axis.axis_name == "x":
        ticks = [tick for tick in ticks if low <= tick <= high]
    axis.set_ticks(ticks, [_tick(tick) for tick in ticks])
    return low, high


def _write(axes: Any, level: tuple[str, float] | None, drawn: Sequence[Line]) -> None:
    """Write the level's name, and the labels of lines beside their points."""
    paths = [axes.transData.transform(line.points) for line in drawn if line.points]
    lines = [tuple(a + (b - a) * step / 50) for path in paths for a, b in pairwise(path) for step in range(51)]
    texts: list[tuple[float, float]] = []
    if level is not None:
        axes.axhline(level[1], clip_on=False, gid=_MARK + "level")
        _, height = axes.transData.transform((0, level[1]))
        half = _CHARACTER * len(level[0]) / 2
        right, left = WIDTH - RIGHT - half - 4, LEFT + half + 4
        _label(axes, level[0], [(right, height + 9), (right, height - 9), (left, height + 9)], lines, texts)
        lines += [(x, height) for x in range(LEFT, WIDTH - RIGHT, 4)]
    for line in drawn:
        points = axes.transData.transform(line.points) if line.written and line.points else ()
        for (x, y), label in zip(points, line.labels, strict=False):
            half = _CHARACTER * len(label) / 2
            around = [
                (x + across * (half + 3 + far), y + up * (8 + far))
                for far in (2, 5, 9)
                for across, up in ((1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1.4), (0, -1.4), (1.2, 0), (-1.2, 0))
            ]
            _label(axes, label, around, lines, texts)


def _label(
    axes: Any,
    text: str,
    places: Sequence[tuple[float, float]],
    lines: Sequence[tuple[float, float]],
    texts: list[tuple[float, float]],
) -> None:
    """Write a text where it covers least, and not at all where it would cover another one.

    Args:
        places: Centres to choose from, in pixels from the lower left.
        lines: Points of lines.
        texts: Points of texts; those of this one are added.
    """
    width, height = _CHARACTER * len(text) / 2, _ROW / 2

    def covered(place: tuple[float, float], points: Sequence[tuple[float, float]]) -> int:
        return sum(abs(x - place[0]) < width + 2 and abs(y - place[1]) < height + 1 for x, y in points)

    def cost(place: tuple[float, float]) -> int:
        across = place[0] - width >= LEFT and place[0] + width <= WIDTH
        inside = across and place[1] - height >= BOTTOM and place[1] + height <= HEIGHT
        return covered(place, lines) + 100 * covered(place, texts) + 10_000 * (not inside)

    x, y = best = min(places, key=cost)
    if not covered(best, texts):
        align: dict[str, Any] = {"ha": "center", "va": "center_baseline", "annotation_clip": False}
        axes.annotate(_printable(text), best, xycoords="figure pixels", **align)
        texts += [(x + u * width, y + v * height) for u in (-1, -0.5, 0, 0.5, 1) for v in (-1, 0, 1)]


def _finite(line: Line) -> Line:
    labels = line.labels or [f"{line.name}: {on_page(y)} at {on_page(x)}" for x, y in line.points]
    kept = [(point, label) for point, label in zip(line.points, labels, strict=True) if all(map(math.isfinite, point))]
    band = [row for row in line.band if all(map(math.isfinite, row))]
    return Line(line.name, [point for point, _ in kept], band, [label for _, label in kept], line.written)


def _tick(value: float) -> str:
    """Return a tick as it is written: a round number but for the noise of binary fractions."""
    text = f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"
    return text.replace("-", "−")


def _printable(text: str) -> str:
    return _NO_TEXT.sub("�", text)


def _reduced(element: ElementTree.Element, titles: Mapping[str, Iterator[str]], classes: str = "") -> str:
    """Return the shapes and texts of a part of matplotlib's SVG as HTML, without ids, styles and what draws nothing.

    Args:
        titles: What a reader sees who points at a line's points, in order, by the line's class.
        classes: Of the group that the part lies in.
    """
    tag, name = element.tag.rpartition("}")[2], element.get("id", "")
    if tag in ("svg", "g"):
        classes = name.removeprefix(_MARK) if name.startswith(_MARK) else classes
        return "".join(_reduced(child, titles, classes) for child in element)
    if tag == "text":
        anchor = re.search("text-anchor: (middle|end)", element.get("style", ""))
        where = f'x="{_rounded(element, "x")}" y="{_rounded(element, "y")}"'
        return f'<text {where} text-anchor="{anchor[1] if anchor else "start"}">{escape(element.text or "")}</text>'
    if tag == "use" and classes:  # a marker of a line
        place = classes.removeprefix("line ")
        where = f'cx="{_rounded(element, "x")}" cy="{_rounded(element, "y")}"'
        return f'<circle class="point {place}" {where} r="4"><title>{escape(next(titles[place]))}</title></circle>'
    if tag == "path" and classes:
        return f'<path class="{classes}" d="{_rounded(element, "d")}"/>'
    return ""


def _rounded(element: ElementTree.Element, attribute: str) -> str:
    """Return coordinates to a tenth of a pixel."""
    text = " ".join(element.get(attribute, "").split())
    return re.sub(r"-?\d+\.\d+", lambda match: f"{float(match[0]):.1f}", text)
