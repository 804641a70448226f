"""Ranges of numbers, checked where a component is constructed.

Each function returns the number, or raises a ``ValueError`` that names the option, its range and what was given. NaN is
in no range.
"""

from __future__ import annotations

import math


def at_least_zero(name: str, value: float) -> float:
    """Check 0 <= value < infinity."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and at least 0, got {value}")
    return float(value)


def positive(name: str, value: float) -> float:
    """Check 0 < value < infinity."""
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return float(value)


def at_least(name: str, value: int, least: int) -> int:
    """Check a whole number's lower bound."""
    if not value >= least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return value


def share(name: str, value: float, *, zero: bool = True, one: bool = True) -> float:
    """Check 0 <= value <= 1; without ``zero`` or ``one`` that end is excluded."""
    if not (0 <= value <= 1) or (value == 0 and not zero) or (value == 1 and not one):
        raise ValueError(f"{name} must be in {'[' if zero else '('}0, 1{']' if one else ')'}, got {value}")
    return float(value)
