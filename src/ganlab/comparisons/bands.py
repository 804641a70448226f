"""Curves of configurations: the mean over seeds and its interval at each point of training."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ganlab.comparisons.answer import Row
from ganlab.comparisons.collected import COLLAPSED, FAILED, SCORE, Curve, RunFacts
from ganlab.reports.interactive import Trace
from ganlab.reports.logged import SPEED
from ganlab.statistics import intervals

POINTS = 200  # of a curve

Points = tuple[NDArray[np.float64], NDArray[np.float64]]


def trace(row: Row, name: str, place: int) -> Trace | None:
    """Return the mean of a scalar over the seeds of a configuration, with the interval of 95 % where there are several.

    Runs that failed or collapsed are left out, unless all of them did. The mean is taken where all the others have
    values: to the end of the shortest. Runs that logged at other points are interpolated.

    Args:
        row: The configuration.
        name: Of the scalar, as in `RunFacts.curves`.
        place: Of the configuration among the others, from 1 on; its colour.
    """
    having = [(run, run.curves[name]) for run in running(row) if name in run.curves]
    parts = [points for _, curve in having if len((points := _points(curve))[0])]
    if not parts:
        return None
    start, end = max(x[0] for x, _ in parts), min(x[-1] for x, _ in parts)
    x = min((x for x, _ in parts), key=len)
    x = x[(x >= start) & (x <= end)]
    if not len(x):
        return None
    values = np.stack([np.interp(x, *points) for points in parts])
    low = high = None
    if len(values) > 1:
        half = intervals.half_width(values.std(axis=0, ddof=1), len(values))
        low, high = values.mean(axis=0) - half, values.mean(axis=0) + half
    return Trace(
        row.name,
        x.tolist(),
        values.mean(axis=0).tolist(),
        () if low is None else low.tolist(),
        () if high is None else high.tolist(),
        values.tolist() if len(values) > 1 else (),
        clock=str(place),
        place=place,
    )


def clock(row: Row) -> tuple[Sequence[float], Sequence[float]]:
    """Return kimg, and the mean seconds of training until then."""
    curves = [run.curves[SPEED] for run in running(row) if SPEED in run.curves]
    if not curves:
        return [], []
    kimg = min((curve.kimg for curve in curves), key=len)
    return kimg, np.mean([np.interp(kimg, curve.kimg, curve.seconds) for curve in curves], axis=0).tolist()


def running(row: Row) -> list[RunFacts]:
    """Return the runs of a configuration that did not fail or collapse; all if every one did."""
    return [run for run in row.runs if run.state not in (FAILED, COLLAPSED)] or row.runs


def names(rows: Sequence[Row]) -> list[str]:
    """Return the scalars that vary in some run, scores first, in the order in which they are logged."""
    found = dict.fromkeys(name for row in rows for run in row.runs for name in run.curves)
    varying = [name for name in found if any(_varies(run.curves.get(name)) for row in rows for run in row.runs)]
    return sorted(varying, key=lambda name: (not name.startswith(SCORE), "/" not in name))


def of_one_protocol(rows: Sequence[Row]) -> list[str]:
    """Take away curves of scores during training under another protocol than most runs have; return a sentence each."""
    runs = [run for row in rows for run in row.runs]
    during = {id(run): record["protocol_hash"] for run in runs for record in run.records if record["during_training"]}
    if len(set(during.values())) < 2:
        return []
    most = Counter(during.values()).most_common(1)[0][0]
    others = [run for run in runs if during.get(id(run), most) != most]
    for run in others:
        run.curves = {name: curve for name, curve in run.curves.items() if not name.startswith(SCORE)}
    return [
        f"{run.name} was scored under another protocol during training: it has no curve of scores." for run in others
    ]


def _varies(curve: Curve | None) -> bool:
    return curve is not None and len({value for value in curve.values if value is not None}) > 1


def _points(curve: Curve) -> Points:
    """Return kimg, ascending, and values; means of parts where there are many."""
    found: dict[float, float] = {}
    for x, y in zip(curve.kimg, curve.values, strict=True):
        if y is not None and (not found or x > next(reversed(found))):
            found[x] = y
    each = math.ceil(len(found) / POINTS) or 1
    pairs = np.array(list(found.items()), float).reshape(-1, 2)
    means = [pairs[at : at + each].mean(axis=0) for at in range(0, len(pairs), each)]
    thin = np.array(means, float).reshape(-1, 2)
    return thin[:, 0], thin[:, 1]
