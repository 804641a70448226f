"""Coverage of intervals and false discoveries of tests, by simulation with known differences; seeded."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ganlab.statistics import improvement, intervals, paired

pytestmark = pytest.mark.slow

SEEDS = (3, 5, 10)


def share(hits: list[bool]) -> float:
    return float(np.mean(hits))


@pytest.mark.parametrize("count", SEEDS)
def test_the_interval_of_the_mean_has_the_mean_in_95_of_100_cases(count: int) -> None:
    draws = np.random.default_rng(count).normal(7, 2, (4000, count))
    found = [intervals.mean(values.tolist()) for values in draws]
    assert share([(i.low or 0) <= 7 <= (i.high or 0) for i in found]) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize(("count", "least"), [(4, 0.92), (5, 0.92), (10, 0.92)])
def test_the_interval_of_the_interquartile_mean_is_near_to_that(count: int, least: float) -> None:
    """Of scores with a heavy tail: of 20 runs one is far off, as a run that has nearly collapsed."""
    draws = np.random.default_rng(count)
    values = draws.normal(7, 1, (4000, count))
    values = np.where(draws.random(values.shape) < 0.05, values + draws.choice([-10, 10], values.shape), values)
    found = [intervals.interquartile_mean(row.tolist()) for row in values]
    covered = share([i is not None and (i.low or 0) <= 7 <= (i.high or 0) for i in found])
    assert least < covered < 0.97


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_paired_intervals_have_the_difference_in_95_of_100_cases(correlation: float) -> None:
    """Common seeds may or may not make the scores of two configurations alike."""
    draws = np.random.default_rng(4)
    shared = draws.normal(0, 1, (4000, 5)) * np.sqrt(correlation)
    first = shared + draws.normal(0, 1, (4000, 5)) * np.sqrt(1 - correlation)
    second = 1.5 + shared + draws.normal(0, 1, (4000, 5)) * np.sqrt(1 - correlation)
    found = [paired.paired(row.tolist()) for row in second - first]
    assert share([(t.low or 0) <= 1.5 <= (t.high or 0) for t in found]) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize("real", [0, 3])
def test_at_most_5_of_100_comparisons_find_a_difference_that_is_none(real: int) -> None:
    """Seven configurations, 21 pairs, five common seeds; ``real`` of them are three deviations and more apart."""
    draws = np.random.default_rng(real)
    false, tests, uncorrected = 0, 0, 0
    for _ in range(1500):
        scores = draws.normal(0, 1, (7, 5)) + draws.normal(0, 1, 5)
        scores[:real] += 3 + 3 * np.arange(real)[:, None]
        pairs = list(itertools.combinations(range(7), 2))
        p = [paired.paired((scores[a] - scores[b]).tolist()).p or 0.0 for a, b in pairs]
        null = [a >= real and b >= real for a, b in pairs]
        found = [value < 0.05 for value in paired.holm(p)]
        false += any(f and n for f, n in zip(found, null, strict=True))
        uncorrected += any(value < 0.05 and n for value, n in zip(p, null, strict=True))
        tests += 1
    assert false / tests < 0.05 + 0.012
    assert uncorrected / tests > 0.15  # that many without the correction


def test_as_many_seeds_as_are_asked_for_find_the_difference_four_times_in_five() -> None:
    count = paired.seeds_for(1.1, 0.05 / 21)
    assert count is not None
    draws = np.random.default_rng(6).normal(1.1, 1, (3000, count))
    found = share([(paired.paired(row.tolist()).p or 0) < 0.05 / 21 for row in draws])
    assert 0.78 < found < 0.86


@pytest.mark.parametrize(("count", "least"), [(3, 0.80), (5, 0.88), (10, 0.92)])
def test_the_probability_of_improvement_is_in_its_interval(count: int, least: float) -> None:
    """Three data sets with two numbers each, P[x < y] = Φ(δ/√2) of each. With few seeds the bootstrap is too narrow."""
    shifts = np.array([0.0, 0.5, 1.0])
    draws = np.random.default_rng(count)
    everything = [(draws.normal(0, 1, (200_000, 1)), draws.normal(shift, 1, (200_000, 1))) for shift in shifts]
    wanted = float(np.mean([(first < second).mean() for first, second in everything]))
    hits = []
    for _ in range(400):
        strata = [(draws.normal(0, 1, (count, 2)), draws.normal(shift, 1, (count, 2))) for shift in shifts]
        found = improvement.probability_of_improvement(strata)
        hits.append((found.low or 0) <= wanted <= (found.high or 0))
    assert least < share(hits) < 0.98
