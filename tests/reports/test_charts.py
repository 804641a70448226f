"""Charts: round ticks that span the data, and points where arithmetic puts them."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from ganlab.reports import charts
from ganlab.reports.charts import Series


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0.3, 1.0, [0.2, 0.4, 0.6, 0.8, 1.0]),
        (-7, 12, [-10, -5, 0, 5, 10, 15]),
        (1000, 64000, [0, 20000, 40000, 60000, 80000]),
        (3, 3, [1, 2, 3, 4, 5]),
        (0, 0, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round_numbers_that_span_the_range(
    low: float, high: float, expected: list[float] | list[int]
) -> None:
    assert charts.ticks(low, high, 5) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345678.0, "12,345,678"), (0.012345, "0.01235"), (-2.5, "−2.5"), (None, "–"), (3.0, "3"), (1e-7, "1e−07")],
)
def test_numbers_have_four_digits(value: float | None, text: str) -> None:
    assert charts.number(value) == text


def parsed(chart: str) -> Any:
    return ElementTree.fromstring(chart[: chart.index("</svg>") + 6])


def test_points_lie_where_their_numbers_say() -> None:
    svg = parsed(charts.lines([Series("fid", [(0, 10), (5, 20), (10, 30)])], "kimg", "fid"))
    points = [tuple(map(float, p.split(","))) for p in svg.find("polyline").get("points").split()]
    left, right = charts.LEFT, charts.WIDTH - charts.RIGHT
    top, bottom = charts.TOP, charts.HEIGHT - charts.BOTTOM
    assert points == [(left, bottom), (pytest.approx((left + right) / 2), (top + bottom) / 2), (right, top)]
    assert [t.text for t in svg.iter("title")] == ["fid: 10 at 0", "fid: 20 at 5", "fid: 30 at 10"]


def test_what_is_not_finite_is_left_out_and_an_interval_is_drawn_around_the_line() -> None:
    band: list[Any] = [(0, 1, 3), (1, None, 5), (2, 0, 2)]
    svg = parsed(charts.lines([Series("a", [(0, 2), (1, float("nan")), (2, 1)], band)], "x", "y", ("real", 9.0)))
    assert len(svg.find("polyline").get("points").split()) == 2
    assert len(svg.find("polygon").get("points").split()) == 4
    assert "real" in [t.text for t in svg.findall("text")]
    assert "No finite values" in charts.lines([Series("a", [(0, float("inf"))])], "x", "y")


def test_one_point_is_a_chart_too_and_names_are_escaped() -> None:
    chart = charts.lines([Series("a<b", [(3, 3)]), Series("c&d", [(3, 4)])], "x", "y<z")
    parsed(chart)
    assert "a&lt;b" in chart
    assert "<b" not in chart.replace("</", "")


CURVES = {
    "rising": [(2 + i, 10 + 3 * i * i) for i in range(8)],
    "falling": [(2 + i / 2, 220 * 0.8**i) for i in range(8)],
    "valley": [(2 + i, 4 * (i - 3.5) ** 2) for i in range(8)],
    "hill": [(2 + i, 90 - 4 * (i - 3.5) ** 2) for i in range(8)],
    "hook": [(9, 12), (9.2, 9), (9.1, 7), (8.6, 6), (7.8, 6.5), (7, 8), (6.2, 11), (5, 20)],
    "upright": [(5, 10 * i) for i in range(8)],
}


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_labels_touch_neither_lines_nor_points_nor_each_other(
    curve: Sequence[tuple[float, float]],
) -> None:
    """Of the labels' boxes, some points on each piece of the line: by trying, not by the formula that places them."""
    labels = [str(i / 10) for i in range(8)]
    svg = parsed(charts.lines([Series("t", curve, labels=labels, written=True)], "is", "fid"))
    texts = [t for t in svg.findall("text") if t.text in labels and float(t.get("x")) != charts.LEFT - 6]
    texts = [t for t in texts if float(t.get("y")) != charts.HEIGHT - charts.BOTTOM + 16]
    assert len(texts) == 8
    boxes = []
    for text in texts:
        x, y, width = float(text.get("x")), float(text.get("y")), 6 * len(text.text)
        left = x - width * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")]
        boxes.append((left, y - 8, left + width, y + 2))
    points = [tuple(map(float, p.split(","))) for p in svg.find("polyline").get("points").split()]
    for left, top, right, bottom in boxes:
        assert charts.LEFT <= left <= right <= charts.WIDTH
        for (u, v), (other_u, other_v) in pairwise(points):
            for step in range(201):
                x, y = u + (other_u - u) * step / 200, v + (other_v - v) * step / 200
                assert not (left < x < right and top < y < bottom)
    for i, a in enumerate(boxes):
        assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in boxes[:i])


def test_of_points_that_lie_on_each_other_not_all_are_labelled_and_the_level_stands_off_the_line() -> None:
    svg = parsed(
        charts.lines(
            [Series("t", [(1, 5), (1.001, 5.001), (1.002, 5), (9, 5.3)], labels="abcd", written=True)],
            "is", "fid", ("real", 5.31),
        )
    )  # fmt: skip
    texts = {t.text: t for t in svg.findall("text")}
    assert {"a", "d"} <= texts.keys()
    assert {"b", "c"} - texts.keys()
    # under the end of the line, at the right, it would touch it
    assert texts["real"].get("text-anchor") == "start" or float(texts["real"].get("y")) < float(texts["d"].get("y"))
