"""The probability of improvement: against scipy's statistic of Mann and Whitney."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ganlab.statistics import improvement


def test_it_is_the_mean_of_mann_and_whitneys_statistics() -> None:
    draws = np.random.default_rng(0)
    strata = [(draws.normal(0, 1, (5, 2)).round(1), draws.normal(0.5, 1, (4, 2)).round(1)) for _ in range(3)]
    wanted = [
        1 - stats.mannwhitneyu(first[:, metric], second[:, metric]).statistic / 20
        for first, second in strata
        for metric in range(2)
    ]
    found = improvement.probability_of_improvement(strata)
    assert found.value == pytest.approx(np.mean(wanted))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def test_configurations_that_are_equal_have_one_half() -> None:
    scores = np.array([[1.0], [2.0], [3.0]])
    found = improvement.probability_of_improvement([(scores, scores)])
    assert found.value == 0.5


def test_the_metrics_of_a_run_are_resampled_together() -> None:
    """A metric that is given twice adds nothing: the interval stays as it was."""
    draws = np.random.default_rng(1)
    first, second = draws.normal(0, 1, (6, 1)), draws.normal(1, 1, (6, 1))
    once = improvement.probability_of_improvement([(first, second)])
    twice = improvement.probability_of_improvement([(first.repeat(2, 1), second.repeat(2, 1))])
    assert twice == once
