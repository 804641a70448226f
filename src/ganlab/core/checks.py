"""Range checks where a component is constructed, in the words of `ganlab.core.ranges`.

Each function returns the number, or raises a ``ValueError`` that names the option, its range and the value. NaN is in
no range.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

from ganlab.core.ranges import Filled, Range

T = TypeVar("T")
_AT_LEAST_ZERO, _POSITIVE = Range(least=0, below=math.inf), Range(above=0, below=math.inf)


def checked(name: str, value: T, allowed: Range | Filled) -> T:
    """Return ``value`` if it, or each number of a list, is allowed."""
    if not allowed.holds(value):
        raise ValueError(f"{name} must be {allowed}, got {value}")
    return value


def at_least_zero(name: str, value: float) -> float:
    """Check 0 <= value < infinity."""
    return float(checked(name, value, _AT_LEAST_ZERO))


def positive(name: str, value: float) -> float:
    """Check 0 < value < infinity."""
    return float(checked(name, value, _POSITIVE))


def at_least(name: str, value: int, least: int, most: int | None = None) -> int:
    """Check a whole number's lower bound, and its upper one."""
    return checked(name, value, Range(least=least, most=most))


def share(name: str, value: float, *, zero: bool = True, one: bool = True) -> float:
    """Check 0 <= value <= 1; without ``zero`` or ``one`` that end is excluded."""
    low = Range(least=0) if zero else Range(above=0)
    return float(checked(name, value, replace(low, most=1) if one else replace(low, below=1)))
