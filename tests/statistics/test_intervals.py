"""Intervals over seeds: against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ganlab.statistics import intervals


@pytest.fixture
def values() -> list[float]:
    found: list[float] = np.random.default_rng(0).lognormal(2, 0.5, 9).tolist()
    return found


def test_the_mean_has_students_interval(values: list[float]) -> None:
    found = intervals.mean(values)
    wanted = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.value == pytest.approx(np.mean(values))
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


def test_one_number_has_no_interval() -> None:
    assert intervals.mean([3.0]) == intervals.Interval(3.0, None, None)


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy's, about a sample without a spread
@pytest.mark.parametrize("count", [4, 5, 7, 8, 9])
def test_the_interquartile_mean_has_the_interval_of_yuens_test(values: list[float], count: int) -> None:
    """The test against a sample without a spread rejects at 5 % beyond the ends of the interval of 95 %."""
    found = intervals.interquartile_mean(values[:count])
    assert found is not None
    assert found.value == pytest.approx(stats.trim_mean(values[:count], 0.25))
    for end in (found.low, found.high):
        test = stats.ttest_ind(values[:count], [end] * count, trim=0.25, equal_var=False)
        assert test.pvalue == pytest.approx(0.05)


def test_fewer_than_four_numbers_have_no_interquartile_mean() -> None:
    assert intervals.interquartile_mean([1.0, 2.0, 3.0]) is None
