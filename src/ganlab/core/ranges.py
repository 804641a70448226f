"""Ranges of options, written in their types: ``count: Annotated[int, at_least(1)] = 64``.

`ganlab.config.schema` checks them for every option that it reads: of components, of runs, of commands.
"""

from __future__ import annotations

import math
from collections.abc import Sized
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True)
class Range:
    """An interval of numbers.

    Args:
        least: Lower bound, inclusive.
        above: Lower bound, exclusive.
        most: Upper bound, inclusive.
        below: Upper bound, exclusive; infinity: finite numbers.
    """

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def __str__(self) -> str:
        low = self.above if self.least is None else self.least
        high = self.below if self.most is None else self.most
        if low is not None and high is not None and math.isfinite(high):
            return f"in {'(' if self.least is None else '['}{low:g}, {high:g}{')' if self.most is None else ']'}"
        bounds = (("at least", self.least), ("above", self.above), ("at most", self.most), ("below", self.below))
        words = [f"{words} {bound:g}" for words, bound in bounds if bound is not None and math.isfinite(bound)]
        finite = ["finite"] if high == math.inf else []
        return " and ".join([*finite, *words]).replace("above 0", "positive")

    def holds(self, value: Any) -> bool:
        """Tell if a number, or every number of a list, is in the range."""
        if isinstance(value, (list, tuple)):
            return all(self.holds(element) for element in value)
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )


@dataclass(frozen=True)
class Among:
    """A set of numbers.

    Args:
        numbers: The allowed ones.
    """

    numbers: tuple[int, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.numbers))

    def holds(self, value: Any) -> bool:
        """Tell if a number is allowed."""
        return value in self.numbers


@dataclass(frozen=True)
class Filled:
    """Lists and words that are not empty.

    Args:
        what: Name for messages, such as ``a path``.
    """

    what: str

    def __str__(self) -> str:
        return self.what

    def holds(self, value: Any) -> bool:
        """Tell if a value is not empty."""
        return bool(value.strip()) if isinstance(value, str) else isinstance(value, Sized) and len(value) > 0


def at_least(least: float) -> Range:
    """The numbers from ``least`` on."""
    return Range(least=least)


Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(least=0)]
FilledPath = Annotated[str, Filled("a path")]
