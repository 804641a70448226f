"""Paired comparisons of two configurations over the seeds that both have, and how many seeds a difference takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special  # scipy.stats takes a second to import

from ganlab.statistics import intervals

LEVEL = 0.05  # of tests
POWER = 0.8
MOST_SEEDS = 1000  # more are not asked for

_QUANTILES = 250  # of the estimated deviation


@dataclass(frozen=True)
class Paired:
    """The mean difference over common seeds.

    Args:
        mean: Of the differences.
        low: Lower end of its interval of 95 %; None with one seed.
        high: Upper end.
        p: Of the two-sided paired t test that it is zero; None with one seed.
        deviation: Standard deviation of the differences; None with one seed.
        count: Common seeds.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    deviation: float | None
    count: int


def paired(differences: Sequence[float]) -> Paired:
    """Return the mean difference, its interval and the p value of Student's paired test.

    Args:
        differences: One for each common seed, at least one.
    """
    found = np.asarray(differences, float)
    interval = intervals.mean(found.tolist())
    if len(found) < 2:
        return Paired(interval.value, None, None, None, None, len(found))
    deviation = float(found.std(ddof=1))
    return Paired(
        interval.value, interval.low, interval.high, _p(interval.value, deviation, len(found)), deviation, len(found)
    )


def _p(mean: float, deviation: float, count: int) -> float:
    if deviation == 0:  # runs that are equal bit for bit
        return 1.0 if mean == 0 else 0.0
    return float(2 * special.stdtr(count - 1, -abs(mean) / (deviation / math.sqrt(count))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values after Holm's correction: of a family of tests at level α, at most α of the families have one
    false discovery or more.

    p'(i) = max over j ≤ i of min(1, (m - j + 1) · p(j)), with p(1) ≤ ... ≤ p(m).

    Source: Holm 1979 (Scandinavian Journal of Statistics 6).
    """
    order = np.argsort(p_values, kind="stable")
    corrected = [0.0] * len(order)
    largest = 0.0
    for place, index in enumerate(order.tolist()):
        largest = max(largest, min(1.0, (len(order) - place) * p_values[index]))
        corrected[index] = largest
    return corrected


def power(effect: float, count: int, level: float = LEVEL) -> float:
    """Return the probability that the two-sided paired t test finds a difference.

    Args:
        effect: The difference over the standard deviation of the differences.
        count: Seeds, at least 2.
        level: Of the test.
    """
    critical = float(special.stdtrit(count - 1, 1 - level / 2))
    shift = abs(effect) * math.sqrt(count)
    # scipy's noncentral t is NaN for many large shifts, so the estimated deviation is integrated out
    edges = critical * _deviations(count - 1)
    return float((special.ndtr(shift - edges) + special.ndtr(-shift - edges)).mean())


@lru_cache(maxsize=MOST_SEEDS)
def _deviations(freedom: int) -> NDArray[np.float64]:
    """Return quantiles of an estimated standard deviation over the true one: √(χ²/freedom)."""
    found: NDArray[np.float64] = np.sqrt(
        2 * special.gammaincinv(freedom / 2, (np.arange(_QUANTILES) + 0.5) / _QUANTILES) / freedom
    )
    return found


def seeds_for(effect: float, level: float = LEVEL) -> int | None:
    """Return how many common seeds a difference takes to be found with a probability of 80 %; None: over 1,000.

    Args:
        effect: The difference over the standard deviation of the differences.
        level: Of the test.
    """
    if not power(effect, MOST_SEEDS, level) >= POWER:
        return None
    low, high = 2, MOST_SEEDS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, middle, level) >= POWER else (middle + 1, high)
    return low
