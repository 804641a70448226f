"""Ranges in the types of options: what holds, and the words of a refusal."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from ganlab.config.schema import convert
from ganlab.core.ranges import Filled, NotNegative, Positive, Range, at_least

SHARE = Annotated[float, Range(least=0, below=1)]


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (Annotated[int, at_least(1)], 0, "must be at least 1, got 0"),
        (Annotated[int, at_least(1)] | None, 0, "must be at least 1 or null, got 0"),
        (Positive, 0, "must be positive, got 0"),
        (NotNegative, -1e-9, "must be at least 0, got -1e-09"),
        (SHARE, 1.0, r"must be in \[0, 1\), got 1.0"),
        (Annotated[float, Range(above=1, most=2)], 1, r"must be in \(1, 2\], got 1"),
        (Annotated[tuple[int, int], at_least(1)], [1, 0], r"must be at least 1, got \[1, 0\]"),
        (Annotated[list[str], Filled("a list of at least one metric")], [], r"must be a list of at least one metric"),
        (Annotated[str, Filled("a path")], " ", "must be a path, got ' '"),
        (Annotated[int, at_least(1)], "one", "must be a whole number, got 'one'"),
    ],
)
def test_out_of_range(annotation: Any, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        convert(value, annotation)


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Annotated[int, at_least(1)], 1.0, 1),
        (Annotated[int, at_least(1)] | None, None, None),
        (Positive | None, 1e-9, 1e-9),
        (SHARE, 0, 0.0),
        (Annotated[list[str], Filled("names")], ["fid"], ["fid"]),
    ],
)
def test_in_range(annotation: Any, value: Any, expected: Any) -> None:
    assert convert(value, annotation) == expected
