"""Charts: round ticks that span the data, and points where arithmetic puts them."""

import xml.etree.ElementTree as ElementTree

import pytest

from ganlab.evaluation import charts
from ganlab.evaluation.charts import Series


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
def test_ticks_are_round_numbers_that_span_the_range(low, high, expected):
    assert charts.ticks(low, high, 5) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345678.0, "12,345,678"), (0.012345, "0.01235"), (-2.5, "−2.5"), (None, "–"), (3.0, "3"), (1e-7, "1e−07")],
)
def test_numbers_have_four_digits(value, text):
    assert charts.number(value) == text


def parsed(chart):
    return ElementTree.fromstring(chart[: chart.index("</svg>") + 6])


def test_points_lie_where_their_numbers_say():
    svg = parsed(charts.lines([Series("fid", [(0, 10), (5, 20), (10, 30)])], "kimg", "fid"))
    points = [tuple(map(float, p.split(","))) for p in svg.find("polyline").get("points").split()]
    left, right = charts.LEFT, charts.WIDTH - charts.RIGHT
    top, bottom = charts.TOP, charts.HEIGHT - charts.BOTTOM
    assert points == [(left, bottom), (pytest.approx((left + right) / 2), (top + bottom) / 2), (right, top)]
    assert [t.text for t in svg.iter("title")] == ["fid: 10 at 0", "fid: 20 at 5", "fid: 30 at 10"]


def test_what_is_not_finite_is_left_out_and_an_interval_is_drawn_around_the_line():
    band = [(0, 1, 3), (1, None, 5), (2, 0, 2)]
    svg = parsed(charts.lines([Series("a", [(0, 2), (1, float("nan")), (2, 1)], band)], "x", "y", ("real", 9.0)))
    assert len(svg.find("polyline").get("points").split()) == 2
    assert len(svg.find("polygon").get("points").split()) == 4
    assert "real" in [t.text for t in svg.findall("text")]
    assert "No finite values" in charts.lines([Series("a", [(0, float("inf"))])], "x", "y")


def test_one_point_is_a_chart_too_and_names_are_escaped():
    chart = charts.lines([Series("a<b", [(3, 3)]), Series("c&d", [(3, 4)])], "x", "y<z")
    parsed(chart)
    assert "a&lt;b" in chart
    assert "<b" not in chart.replace("</", "")
