"""Ranges of numbers."""

import math
from collections.abc import Callable

import pytest

from ganlab.core.checks import at_least, at_least_zero, positive, share


@pytest.mark.parametrize(
    ("check", "inside", "outside", "message"),
    [
        (lambda x: at_least_zero("x", x), (0, 2.5), (-1e-9, math.inf, math.nan), "x must be finite and at least 0"),
        (lambda x: positive("x", x), (1e-9, 3), (0, -1, math.inf, math.nan), "x must be finite and positive"),
        (lambda x: at_least("x", x, 1), (1, 7), (0, -1, math.nan), "x must be at least 1"),
        (lambda x: share("x", x), (0, 0.5, 1), (-0.1, 1.1, math.nan), r"x must be in \[0, 1\]"),
        (lambda x: share("x", x, zero=False), (0.1, 1), (0, 1.1, math.nan), r"x must be in \(0, 1\]"),
        (lambda x: share("x", x, one=False), (0, 0.9), (-0.1, 1, math.nan), r"x must be in \[0, 1\)"),
    ],
    ids=["at_least_zero", "positive", "at_least", "share", "share above 0", "share below 1"],
)
def test_a_number_in_the_range_is_returned_and_any_other_is_refused_with_its_name(
    check: Callable[[float], float], inside: tuple[float, ...], outside: tuple[float, ...], message: str
) -> None:
    assert [check(x) for x in inside] == list(inside)
    for x in outside:
        with pytest.raises(ValueError, match=f"{message}, got {x}"):
            check(x)
