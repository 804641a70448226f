"""Paired tests, Holm's correction and numbers of seeds: against scipy, a naive loop and a simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ganlab.statistics import paired


def test_the_paired_test_is_scipys() -> None:
    draws = np.random.default_rng(0)
    first, second = draws.normal(0, 1, 6), draws.normal(0.7, 1, 6)
    found, wanted = paired.paired((second - first).tolist()), stats.ttest_rel(second, first)
    ends = wanted.confidence_interval(0.95)
    assert (found.p, found.low, found.high) == pytest.approx((wanted.pvalue, ends.low, ends.high))
    assert (found.mean, found.count) == (pytest.approx(np.mean(second - first)), 6)


@pytest.mark.parametrize("differences", [[0.5] * 2, [-0.5] * 3, [2.0] * 6, [0.3 - 0.1, 0.4 - 0.2, 0.6 - 0.4]], ids=str)
def test_differences_without_a_spread_are_judged_by_the_sign_test(differences: list[float]) -> None:
    """Numbers of modes are often the same in all seeds; Student's test would be certain after two of them."""
    found = paired.paired(differences)
    assert not found.has_spread
    assert found.p == stats.binomtest(len(differences), len(differences)).pvalue


def test_no_difference_and_one_seed_find_nothing() -> None:
    assert paired.paired([0.0, 0.0, 0.0]).p == 1.0
    assert paired.paired([0.5]).p is None


@pytest.mark.parametrize("level", [0.05, 0.05 / 21, 2**-5])
def test_the_seeds_that_the_sign_test_takes_are_the_fewest(level: float) -> None:
    found = paired.seeds_without_spread(level)
    assert stats.binomtest(found, found).pvalue < level <= stats.binomtest(found - 1, found - 1).pvalue


def test_holms_correction_is_its_definition() -> None:
    """The smallest of m p values is multiplied by m, the next by m - 1, and none becomes smaller than one before it."""
    assert paired.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert paired.holm([0.9, 0.8]) == [1.0, 1.0]
    assert paired.holm([]) == []


@pytest.mark.parametrize(("effect", "count"), [(0.5, 10), (1.5, 4), (3.0, 3), (0.0, 5)])
def test_power_is_that_of_a_simulation(effect: float, count: int) -> None:
    draws = np.random.default_rng(1).normal(effect, 1, (20_000, count))
    found = float((stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean())
    assert paired.power(effect, count) == pytest.approx(found, abs=0.012)  # 3.4 standard errors


@pytest.mark.parametrize("effect", [0.2, 0.7, 1.4, 4.0, 1e6])
def test_the_seeds_that_a_difference_takes_are_the_fewest(effect: float) -> None:
    found = paired.seeds_for(effect)
    assert found is not None
    assert paired.power(effect, found) >= 0.8
    assert found == 2 or paired.power(effect, found - 1) < 0.8


def test_a_tiny_difference_takes_more_seeds_than_are_asked_for() -> None:
    assert paired.seeds_for(0.01) is None
    assert paired.seeds_for(0.0) is None
