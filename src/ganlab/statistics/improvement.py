"""Probability of improvement over several metrics and data sets, with stratified bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ganlab.statistics.intervals import LEVEL, Interval

RESAMPLES = 2000

Array = NDArray[np.float64]


def probability_of_improvement(strata: Sequence[tuple[Array, Array]], seed: int = 0) -> Interval:
    """Return the probability that a run of the first configuration is better than one of the second, on a metric and a
    data set chosen at random.

    P = 1/M Σ_m 1/(N K) Σ_i Σ_j [x_im < y_jm] + ½ [x_im = y_jm], the mean of Mann and Whitney's statistics. Runs are
    resampled in each stratum (a data set) apart from those of others; the metrics of a run stay together.

    Source: Agarwal et al. 2021 (arXiv:2108.13264), equation in section 4.3; there each task is a stratum.

    Args:
        strata: Of each data set the scores of both configurations, (N, metrics) and (K, metrics); lower is better.
        seed: Of the resampling.
    """
    draws = np.random.default_rng(seed)
    total, resampled, metrics = 0.0, np.zeros(RESAMPLES), 0
    for first, second in strata:
        wins = _wins(first, second)  # (N, K, metrics)
        mine = draws.integers(len(first), size=(RESAMPLES, len(first)))
        theirs = draws.integers(len(second), size=(RESAMPLES, len(second)))
        together = wins.sum(2)  # (N, K)
        total += float(together.mean())
        counts = [_counts(mine, len(first)), _counts(theirs, len(second))]
        resampled += np.einsum("rn,nk,rk->r", counts[0], together, counts[1]) / (len(first) * len(second))
        metrics += wins.shape[2]
    low, high = np.quantile(resampled / metrics, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(total / metrics, float(low), float(high))


def _wins(first: Array, second: Array) -> Array:
    mine, theirs = first[:, None, :], second[None, :, :]
    return (mine < theirs) + 0.5 * (mine == theirs)


def _counts(chosen: NDArray[np.int64], of: int) -> Array:
    """Return how often each of ``of`` runs is in each resample: (resamples, of)."""
    return (chosen[:, :, None] == np.arange(of)).sum(1).astype(float)
