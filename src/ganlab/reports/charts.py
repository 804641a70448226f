"""Line charts as SVG: nothing but text, so that a page with them opens from disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from ganlab.reports import numbers, placing

WIDTH, HEIGHT = 420, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 40  # room for ticks and labels, in pixels
MARKED = 40  # up to so many points a line carries a marker at each


@dataclass
class Series:
    """A line of a chart.

    Args:
        name: What the legend says.
        points: (x, y), drawn in this order.
        band: (x, low, high) of an interval around it.
        labels: What pointing at each point says; and what stands beside it if ``written``.
        written: Whether labels are written beside the points.
    """

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()
    labels: Sequence[str] = field(default_factory=tuple)
    written: bool = False


def lines(series: Sequence[Series], x: str, y: str, level: tuple[str, float] | None = None) -> str:
    """An SVG line chart, coloured by the page's style sheet (classes ``s1``, ``s2``, ...).

    Args:
        series: Lines; not finite points are left out.
        x: Label of the horizontal axis.
        y: Label of the vertical axis.
        level: A horizontal line to compare with, and what it is.
    """
    drawn = [(s, [p for p in zip(s.points, _labels(s), strict=True) if _finite(*p[0])]) for s in series]
    xs = [p[0] for _, points in drawn for p, _ in points]
    ys = [p[1] for _, points in drawn for p, _ in points]
    ys += [v for s in series for row in s.band if _finite(*row) for v in row[1:]]
    if not xs:
        return '<p class="muted">No finite values.</p>'
    if level is not None and _finite(level[1]):
        ys.append(level[1])
    x_ticks, y_ticks = ticks(min(xs), max(xs), 5), ticks(min(ys), max(ys), 4)
    x_range = _range([*xs, *(x_ticks if len(set(xs)) == 1 else [])])
    y_range = _range([*ys, *y_ticks])

    def at(px: float, py: float) -> tuple[float, float]:
        u, v = (px - x_range[0]) / (x_range[1] - x_range[0]), (py - y_range[0]) / (y_range[1] - y_range[0])
        return LEFT + u * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - v * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(y)} over {escape(x)}">']
    for tick in y_ticks:
        _, v = at(x_range[0], tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{v:.1f}" y2="{v:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{v + 4:.1f}" text-anchor="end">{_tick(tick)}</text>')
    for tick in x_ticks:
        if x_range[0] <= tick <= x_range[1]:
            u, _ = at(tick, y_range[0])
            parts.append(
                f'<text class="tick" x="{u:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{_tick(tick)}</text>'
            )
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle:.0f}" y="{HEIGHT - 5}" text-anchor="middle">{escape(x)}</text>')
    paths = [[at(*p) for p, _ in points] for _, points in drawn]
    segments = [segment for path in paths for segment in pairwise(path)]
    texts: list[placing.Box] = []
    markers = [placing.marker(point) for path in paths for point in path if len(path) <= MARKED]
    frame = (LEFT, 0.0, WIDTH, HEIGHT - BOTTOM + 7.5)  # down to the ticks

    def write(text: str, places: Sequence[placing.Label]) -> str:
        """A text where it is in nobody's way, the texts before it included; nothing where there is no room."""
        place = placing.free(text, places, segments, markers, texts, frame)
        if place is None:
            return ""
        texts.append(placing.covered(text, place))
        u, v, anchor = place
        return f'<text class="tick" x="{u:.1f}" y="{v:.1f}" text-anchor="{anchor}">{escape(text)}</text>'

    if level is not None and _finite(level[1]):
        _, v = at(x_range[0], level[1])
        parts.append(f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{v:.1f}" y2="{v:.1f}"/>')
        ends = [(WIDTH - RIGHT, "end"), (LEFT + 4, "start"), ((LEFT + WIDTH - RIGHT) / 2, "middle")]
        parts.append(write(level[0], [(u, w, anchor) for u, anchor in ends for w in (v - 5, v + 14)]))
        segments.append(((LEFT, v), (WIDTH - RIGHT, v)))
    for place, (path, (line, points)) in enumerate(zip(paths, drawn, strict=True), start=1):
        parts += _band(line, place, at)
        corners = " ".join(f"{u:.1f},{v:.1f}" for u, v in path)
        parts.append(f'<polyline class="line s{place}" points="{corners}"/>')
        for (u, v), (_, label) in zip(path, points, strict=True) if len(points) <= MARKED else []:
            title = f"<title>{escape(label)}</title>"
            parts.append(f'<circle class="point s{place}" cx="{u:.1f}" cy="{v:.1f}" r="4">{title}</circle>')
            if line.written:
                parts.append(write(label, placing.around((u, v))))
    return "".join([*parts, "</svg>"]) + _legend(series, y)


def _legend(series: Sequence[Series], y: str) -> str:
    if len(series) < 2:
        return ""
    keys = "".join(
        f'<span class="key"><i class="s{place}"></i>{escape(s.name)}</span>' for place, s in enumerate(series, start=1)
    )
    return f'<p class="legend">{keys}<span class="muted">{escape(y)}</span></p>'


def _band(line: Series, place: int, at: Callable[[float, float], tuple[float, float]]) -> list[str]:
    rows = [row for row in line.band if _finite(*row)]
    if len(rows) < 2:
        return []
    corners = [at(x, low) for x, low, _ in rows] + [at(x, high) for x, _, high in reversed(rows)]
    path = " ".join(f"{u:.1f},{v:.1f}" for u, v in corners)
    return [f'<polygon class="band s{place}" points="{path}"/>']


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that span [low, high]."""
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        spread = abs(low) / 2 or 1.0
        low, high = low - spread, high + spread
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, last + 1)]


def number(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """`numbers.number` as a page writes it: with a minus sign, and a dash for None."""
    return "–" if value is None else numbers.number(value, low, high).replace("-", "−")


def _tick(value: float) -> str:
    """A tick is a round number, however small, but for the noise of binary fractions."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return text.replace("-", "−")


def _labels(series: Series) -> list[str]:
    if series.labels:
        return list(series.labels)
    return [f"{series.name}: {number(y)} at {number(x)}" for x, y in series.points]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _finite(*values: float | None) -> bool:
    return all(value is not None and math.isfinite(value) for value in values)
