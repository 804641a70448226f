"""Numbers as tables and pages write them: with as many digits as their interval deserves."""

from __future__ import annotations

import math

ZERO = 1e-9  # scores are of the order of 1: less than this is the rounding of a sum
_FIGURES = 4  # of a number whose interval is not known


def number(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """A number: its last digit is the second significant one of the interval's half-width, or it has four significant
    digits where there is no interval.

    12.3456 with [11.1, 13.6] is ``12.3`` (the half-width is 1.2), and with [2, 23] it is ``12``. What is zero within
    rounding is ``0``; None is ``-``.

    Args:
        value: The number.
        low: Lower end of its interval, or None.
        high: Its upper end, or None.
    """
    if value is None:
        return "-"
    if not math.isfinite(value):
        return str(value)
    decimals = _decimals(low, high)
    if abs(value) < ZERO:
        return "0"
    if decimals is not None:
        rounded = round(value, decimals)
        return f"{rounded:,.{max(0, decimals)}f}" if rounded else "0"
    text = f"{value:.{_FIGURES}g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else text


def interval(low: float | None, high: float | None, between: str = " to ") -> str:
    """Both ends of an interval, with the digits of the number that it belongs to; empty where there is none."""
    if low is None or high is None:
        return ""
    return f"{number(low, low, high)}{between}{number(high, low, high)}"


def on_page(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Return `number` as a page writes it: with a minus sign, and a dash for None."""
    return "–" if value is None else number(value, low, high).replace("-", "−")


def interval_on_page(low: float | None, high: float | None) -> str:
    """Return `interval` as a page writes it."""
    return interval(low, high).replace("-", "−")


def probability(p: float | None) -> str:
    """Return a p value as a page writes it: three decimals, ``< 0.001`` below, and a dash for None."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _decimals(low: float | None, high: float | None) -> int | None:
    """Digits behind the point that two significant digits of the half-width take; negative: none, and as many zeros."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return None
    half = abs(high - low) / 2
    if half < ZERO:
        return None
    exponent = int(f"{half:.1e}".partition("e")[2])  # of the rounded half-width: that of 0.0996 is 0.10
    return 1 - exponent
