"""Numbers have the digits that their interval deserves, in the terminal as in a page."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from support.records import record, value

from ganlab.evaluation import scores
from ganlab.reports import page, table
from ganlab.reports.numbers import interval, number, on_page


@pytest.mark.parametrize(
    ("given", "half", "text", "ends"),
    [
        (12.3456, 1.234, "12.3", "11.1 to 13.6"),
        (12.3456, 0.0996, "12.35", "12.25 to 12.45"),  # the half-width is 0.10
        (54.3123, 12.0, "54", "42 to 66"),
        (54.3123, 123.0, "50", "-70 to 180"),
        (1234567.0, 5000.0, "1,234,600", "1,229,600 to 1,239,600"),
        (0.0, 0.05, "0", "-0.050 to 0.050"),
        (0.0001, 0.05, "0", "-0.050 to 0.050"),
        (0.999, 0.0123, "0.999", "0.987 to 1.011"),
        (9.5, 0.0, "9.5", "9.5 to 9.5"),  # an interval of no width says nothing of the digits
    ],
)
def test_the_last_digit_is_the_second_one_of_the_half_width(given: float, half: float, text: str, ends: str) -> None:
    low, high = given - half, given + half
    assert number(given, low, high) == text
    assert interval(low, high) == ends


@pytest.mark.parametrize(
    ("given", "text"),
    [(1.084e-19, "0"), (-1.084e-19, "0"), (0.0, "0"), (0.012345, "0.01235"), (1234.6, "1,235"),
     (12345678.0, "12,345,678"), (-2.5, "-2.5"), (None, "-"), (math.inf, "inf")],
)  # fmt: skip
def test_without_an_interval_a_number_has_four_digits_and_rounding_is_zero(given: float | None, text: str) -> None:
    assert number(given) == text
    assert interval(None, 3.0) == ""


def test_an_interval_that_is_rounding_itself_is_zero() -> None:
    assert number(1.084e-19, 0.0, 2.2e-19) == "0"
    assert interval(-1e-19, 1e-19, ", ") == "0, 0"


def test_the_terminal_and_the_page_write_the_same_numbers(tmp_path: Path) -> None:
    values = {"fid": value(54.31234, 1.234, real=8.04567), "kid": value(1.084e-19, better="lower"), "is": value(None)}
    one = record(100, values=values)
    lines = {line.split()[0]: line for line in table.table([one]).splitlines()[1:]}
    assert "54.3 [53.1, 55.5]" in lines["fid"]
    assert "real 8.0" in lines["fid"]
    assert lines["kid"].split()[1] == "0"
    assert lines["is"].split()[1] == "-"
    scores.append(tmp_path, one)
    scores.append(tmp_path, record(100, values={"fid": value(8.0, 0.5)}, subject={"kind": "real", "split": "test"}))
    html = page.write(tmp_path).read_text()
    for part in (">54.3<", ">53.1 to 55.5<", ">8.00<", ">8.0<", ">0<"):
        assert part in html
    assert "e-19" not in html + table.table([one])


@pytest.mark.parametrize(
    ("given", "text"),
    [(12345678.0, "12,345,678"), (0.012345, "0.01235"), (-2.5, "−2.5"), (None, "–"), (3.0, "3"), (1e-7, "1e−07")],
)
def test_a_page_writes_a_minus_sign_and_a_dash_for_nothing(given: float | None, text: str) -> None:
    assert on_page(given) == text
