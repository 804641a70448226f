"""Charts: points where arithmetic puts them, round ticks, colours from the page, and nothing but shapes and texts."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from ganlab.contracts.figures import Chart, Line
from ganlab.reports import charts

LEFT, RIGHT = charts.LEFT, charts.WIDTH - charts.RIGHT
TOP, BOTTOM = charts.TOP, charts.HEIGHT - charts.BOTTOM


def parsed(lines: Sequence[Line], level: tuple[str, float] | None = None, x: str = "x", y: str = "y") -> Any:
    return ElementTree.fromstring(charts.svg(Chart("title", x, y, lines, level=level)))


def corners(path: Any) -> list[tuple[float, float]]:
    found = re.findall(r"[ML] (\S+) (\S+)", path.get("d"))
    return [(float(x), float(y)) for x, y in found]


def line(svg: Any, place: int = 1) -> list[tuple[float, float]]:
    (path,) = svg.findall(f"path[@class='line s{place}']")
    return corners(path)


def test_points_lie_where_their_numbers_say() -> None:
    svg = parsed([Line("fid", [(0, 10), (5, 20), (10, 30)])])
    expected = [(LEFT, BOTTOM), ((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2), (RIGHT, TOP)]
    assert line(svg) == expected
    assert [(float(c.get("cx")), float(c.get("cy"))) for c in svg.findall("circle")] == expected
    assert [t.text for t in svg.iter("title")] == ["fid: 10 at 0", "fid: 20 at 5", "fid: 30 at 10"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, "0 2 4 6 8 10"), (-7, 12, "−10 −5 0 5 10 15"), (1000, 64000, "0 20,000 40,000 60,000 80,000"),
     (3, 3, "1 2 3 4 5"), (0, 0, "−1 −0.5 0 0.5 1"), (0.31, 0.38, "0.3 0.32 0.34 0.36 0.38"),
     (-3e299, 3e299, "−4e+299 −2e+299 0 2e+299 4e+299")],
)  # fmt: skip
def test_ticks_are_round_numbers_that_span_the_range(low: float, high: float, expected: str) -> None:
    svg = parsed([Line("a", [(0, low), (1, high)])])
    ticks = [t for t in svg.findall("text") if t.get("text-anchor") == "end"]
    assert " ".join(t.text for t in ticks) == expected
    assert [float(t.get("y")) for t in ticks] == sorted((float(t.get("y")) for t in ticks), reverse=True)
    assert all(TOP <= y <= BOTTOM for _, y in line(svg))


def test_a_line_without_an_extent_is_a_chart_too() -> None:
    assert line(parsed([Line("a", [(3, 3)])])) == [((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2)]


def test_what_is_not_finite_is_left_out_and_an_interval_is_drawn_around_the_line() -> None:
    nan = float("nan")
    svg = parsed([Line("a", [(0, 2), (1, nan), (2, 1)], [(0, 1, 3), (1, nan, 5), (2, 0, 2)])], ("real", 9.0))
    assert len(line(svg)) == 2
    (band,) = svg.findall("path[@class='band s1']")
    assert len(set(corners(band))) == 4
    assert len(svg.findall("path[@class='level']")) == 1
    assert "real" in [t.text for t in svg.findall("text")]
    assert charts.svg(Chart("t", "x", "y", [Line("a", [(0, float("inf"))])])) == ""


def test_a_line_without_points_keeps_the_colour_of_the_next_one() -> None:
    svg = parsed([Line("a", []), Line("b", [(0, 1), (1, 2)])])
    assert len(line(svg, 2)) == 2
    assert [c.get("class") for c in svg.findall("circle")] == ["point s2"] * 2


def test_a_chart_is_small_and_brings_no_colours_ids_or_links() -> None:
    points = [(i, i * i) for i in range(200)]
    svg = charts.svg(Chart("t", "kimg", "fid", [Line("a", points, [(x, y - 1, y + 1) for x, y in points])]))
    assert len(svg) < 12_000
    assert not re.search(r"style|#|id=|url|href|xmlns|<metadata", svg)


@pytest.mark.parametrize("evil", ["</text><script>alert(1)</script>", 'a<b&c"d', "$x_1$", "\0\x1b\ud800", "数字"])
def test_texts_are_texts_whatever_is_in_them(evil: str) -> None:
    chart = Chart(evil, evil, evil, [Line(evil, [(0, 1), (1, 2)], labels=[evil, evil], written=True)], evil, (evil, 1))
    svg = charts.svg(chart).encode(errors="replace").decode().replace("\0", "?").replace("\x1b", "?")
    root = ElementTree.fromstring(svg)
    assert {element.tag for element in root.iter()} == {"svg", "path", "text", "circle", "title"}
    assert evil[:2].isprintable() <= (evil in {t.text for t in root.findall("text")})


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
    """Of the labels' boxes, some points on each piece of the line: by trying, not by the rule that places them."""
    labels = [f"t{i}" for i in range(8)]
    svg = parsed([Line("t", curve, labels=labels, written=True)])
    texts = [t for t in svg.findall("text") if t.text in labels]
    assert len(texts) == 8
    boxes = []
    for text in texts:
        x, y, width = float(text.get("x")), float(text.get("y")), 6 * len(text.text)
        boxes.append((x - width / 2, y - 8, x + width / 2, y + 2))
    for left, top, right, bottom in boxes:
        assert charts.LEFT <= left <= right <= charts.WIDTH
        for (u, v), (other_u, other_v) in pairwise(line(svg)):
            for step in range(201):
                x, y = u + (other_u - u) * step / 200, v + (other_v - v) * step / 200
                assert not (left < x < right and top < y < bottom)
    for i, a in enumerate(boxes):
        assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in boxes[:i])


def test_of_points_that_lie_on_each_other_not_all_are_labelled() -> None:
    points = [(1, 5), (1.001, 5.001), (1.002, 5), (1.003, 5), (1.004, 5), (9, 5.3)]
    svg = parsed([Line("t", points, labels="abcdef", written=True)], ("real", 5.31))
    texts = {t.text for t in svg.findall("text")}
    assert {"a", "f", "real"} <= texts
    assert {"b", "c", "d", "e"} - texts
