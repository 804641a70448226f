"""95 % confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

NORMAL = 1.959963984540054
# Student's t at 97.5 % for 1, 2, ... degrees of freedom; beyond the table 1.96 + 2.5 / n is right to 1 %
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


def student(freedom: int) -> float:
    """Student's t at 97.5 %."""
    return _STUDENT[freedom - 1] if freedom <= len(_STUDENT) else NORMAL + 2.5 / freedom


def jackknife(value: float, without: Sequence[float]) -> tuple[float, float]:
    """``value`` -+ t s, s^2 = (B - 1) / B sum_b (v_b - mean)^2 of the values without one block each.

    Source: Efron & Stein 1981; t of B - 1 degrees of freedom.
    """
    blocks = len(without)
    mean = sum(without) / blocks
    error = math.sqrt((blocks - 1) / blocks * sum((v - mean) ** 2 for v in without))
    half = student(blocks - 1) * error
    return value - half, value + half


def within(ends: tuple[float, float], least: float = -math.inf, most: float = math.inf) -> tuple[float, float]:
    """The part of an interval where the number can be: it covers as often as the whole."""
    return max(least, ends[0]), min(most, ends[1])


def wilson(share: float, count: float) -> tuple[float, float]:
    """Interval of a share of ``count`` independent trials that stays in [0, 1] (Wilson 1927)."""
    if count == 0:
        return 0.0, 1.0
    z2 = NORMAL**2 / count
    centre = (share + z2 / 2) / (1 + z2)
    half = NORMAL / (1 + z2) * math.sqrt(share * (1 - share) / count + z2 / (4 * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_of_shares(mean: float, variance: float, count: int) -> tuple[float, float]:
    """Interval of the mean of ``count`` independent numbers in [0, 1] with this sample variance: Wilson's of as many
    trials as would leave it as uncertain, which are no fewer, since among such numbers 0 and 1 scatter most."""
    trials = mean * (1 - mean) / variance if variance > 0 else 1.0
    return wilson(mean, count * max(1.0, trials))


def difference(first: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float]:
    """Interval of the first value less the other, from each value, low end and high end, independent of each other
    (Newcombe 1998, method 10)."""
    (a, a_low, a_high), (b, b_low, b_high) = first, other
    return a - b - math.hypot(a - a_low, b_high - b), a - b + math.hypot(a_high - a, b - b_low)
