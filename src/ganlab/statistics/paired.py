"""Paired comparisons of two configurations over the seeds that both have, and how many seeds a difference takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special  # scipy.stats takes a second to import

from ganlab.statistics import intervals

LEVEL = 0.05  # of tests
POWER = 0.8
MOST_SEEDS = 1000  # more are not asked for

_QUANTILES = 250  # of the estimated deviation
_NO_SPREAD = 1e-12  # deviation over the mean of differences that are all the same, but for rounding


@dataclass(frozen=True)
class Paired:
    """The mean difference over common seeds.

    Args:
        mean: Of the differences.
        low: Lower end of its interval of 95 %; None with one seed.
        high: Upper end.
        p: Of the two-sided paired t test that it is zero; of the sign test if the differences have no spread, as
            numbers of modes may have none; None with one seed.
        deviation: Standard deviation of the differences; None with one seed.
        count: Common seeds.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    deviation: float | None
    count: int

    @property
    def has_spread(self) -> bool:
        """Tell if the differences are not all the same: Student's test judges a mean by their spread."""
        return self.deviation is not None and self.deviation > _NO_SPREAD * abs(self.mean)


def paired(differences: Sequence[float]) -> Paired:
    """Return the mean difference, its interval and the p value of Student's paired test.

    Args:
        differences: One for each common seed, at least one.
    """
    found = np.asarray(differences, float)
    interval = intervals.mean(found.tolist())
    if len(found) < 2:
        return Paired(interval.value, None, None, None, None, len(found))
    test = Paired(interval.value, interval.low, interval.high, 1.0, float(found.std(ddof=1)), len(found))
    return replace(test, p=_p(test))


def _p(test: Paired) -> float:
    if test.mean == 0:
        return 1.0
    if not test.has_spread:  # all have one sign, which has the probability 2 / 2^n
        return float(2.0 ** (1 - test.count))
    assert test.deviation is not None
    return float(2 * special.stdtr(test.count - 1, -abs(test.mean) / (test.deviation / math.sqrt(test.count))))


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


def seeds_without_spread(level: float = LEVEL) -> int:
    """Return how many common seeds the sign test takes where all differences are the same: 2 / 2^n < level."""
    return math.floor(1 - math.log2(level)) + 1
