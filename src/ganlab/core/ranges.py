"""Ranges of options, written in their types: ``count: Annotated[int, at_least(1)] = 64``.

`ganlab.config.schema` checks them for every option that it reads: of components, of runs, of commands.
"""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True)
class Range:
    """The numbers between two bounds.

    Args:
        least: The smallest one that is allowed.
        above: What every one of them is above.
        most: The largest one that is allowed.
        below: What every one of them is below.
    """

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def __str__(self) -> str:
        if self == Range(above=0):
            return "positive"
        bounds = (("at least", self.least), ("above", self.above), ("at most", self.most), ("below", self.below))
        return " and ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)

    def holds(self, value: Any) -> bool:
        """Tell if a number is in the range, or every number of a list; None is not asked."""
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
    """Some numbers.

    Args:
        numbers: Those that are allowed.
    """

    numbers: tuple[int, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.numbers))

    def holds(self, value: Any) -> bool:
        """Tell if a number is one of them."""
        return value in self.numbers


@dataclass(frozen=True)
class Filled:
    """Lists and words that are not empty.

    Args:
        what: What is wanted, such as ``a path``.
    """

    what: str

    def __str__(self) -> str:
        return self.what

    def holds(self, value: Any) -> bool:
        """Tell if there is something in the value."""
        return bool(value.strip()) if isinstance(value, str) else isinstance(value, Sized) and len(value) > 0


def at_least(least: float) -> Range:
    """The numbers from ``least`` on."""
    return Range(least=least)


Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(least=0)]
