"""Intervals for the mean of few numbers, such as the scores of a configuration over its seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

LEVEL = 0.95
FEWEST_TRIMMED = 4  # with fewer numbers nothing is cut off


@dataclass(frozen=True)
class Interval:
    """A number and the interval of 95 % around it.

    Args:
        value: The number.
        low: Lower end; None where there is no interval.
        high: Upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None


def mean(values: Sequence[float]) -> Interval:
    """Return the mean with Student's interval: mean ± t(n - 1) · s / √n.

    Args:
        values: n numbers, at least one. One number has no interval.
    """
    found = np.asarray(values, float)
    error = float(found.std(ddof=1)) / math.sqrt(len(found)) if len(found) > 1 else None
    return _student(float(found.mean()), error, len(found))


def half_width(deviations: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return half of Student's interval for each of several means of ``count`` numbers: t(n - 1) · s / √n.

    Args:
        deviations: s of each mean, with n - 1 in its divisor.
        count: n, at least two.
    """
    return deviations * (_quantile(count - 1) / math.sqrt(count))


def interquartile_mean(values: Sequence[float]) -> Interval | None:
    """Return the mean of the middle half with Yuen's interval; None for fewer than four numbers.

    ⌊n/4⌋ numbers are cut off at each end, h are left. Its squared error is (n - 1) s_w² / (h (h - 1)), where s_w is the
    deviation after the numbers at each end were replaced by the nearest one that is left; t has h - 1 degrees of
    freedom.

    Source: Yuen 1974 (Biometrika 61). The interquartile mean of scores is advised by Agarwal et al. 2021
    (arXiv:2108.13264), with a bootstrap interval, which is too narrow for five seeds.
    """
    found = np.sort(np.asarray(values, float))
    count = len(found)
    if count < FEWEST_TRIMMED:
        return None
    cut = count // 4
    kept = found[cut : count - cut]
    winsorized = np.clip(found, kept[0], kept[-1])
    squares = float(((winsorized - winsorized.mean()) ** 2).sum())
    return _student(float(kept.mean()), math.sqrt(squares / (len(kept) * (len(kept) - 1))), len(kept))


def _student(value: float, error: float | None, count: int) -> Interval:
    if error is None:
        return Interval(value)
    half = _quantile(count - 1) * error
    return Interval(value, value - half, value + half)


def _quantile(degrees: int) -> float:
    return float(special.stdtrit(degrees, (1 + LEVEL) / 2))
