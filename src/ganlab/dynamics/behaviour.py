"""The behaviour of trajectories: from distances to the equilibrium to a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ganlab.dynamics.verdicts import CONVERGES, CYCLES, DIVERGES, SUBLINEAR, UNDECIDED, Verdict
from ganlab.reports.words import counted

BLOCKS = 24  # of a trajectory, in each of which the largest distance counts: one should have a whole turn
_GONE = 1e6  # times its first distance (at least 1): a trajectory that left all bounds
_THERE = 1e-9  # times its first distance: one that arrived
_LEFT = 1e3  # times a small first distance: one that left the neighbourhood
_LEAST_LEAVING = 8  # iterations in which it leaves that far, if it leaves by a factor
_FLAT = 0.02  # change of the logarithm of the distance over the whole trajectory at the last slope
_WAVES = 4  # times the deviations from a line, below which a change is none
_GEOMETRIC, _POWER, _FASTER = 0.8, 0.3, 1.4  # ratios of the last to the middle slope of the logarithm
_STILL = 1e-9  # motion in an iteration, as a share of the distance


@dataclass(frozen=True)
class Behaviour:
    """The behaviour of one trajectory.

    Args:
        word: As that of a `Verdict`.
        first: Its first distance to the equilibrium.
        last: The largest distance in its last block.
        rate: The factor of the distance an iteration, where it has one.
        about: A few words more.
    """

    word: str
    first: float
    last: float
    rate: float | None = None
    about: str = ""


def behaviour(path: Tensor, rest: Tensor) -> Behaviour:
    """Return the behaviour of a trajectory (K + 1, P) about the equilibrium (P,)."""
    d = (path - rest).norm(dim=1).numpy()
    first = float(d[0])
    if not np.isfinite(d).all() or d.max() > _GONE * max(1.0, first):
        end = int(np.argmax(~np.isfinite(d) | (d > _GONE * max(1.0, first))))
        rate = float((d[end - 1] / first) ** (1 / (end - 1))) if end > 1 else None
        return Behaviour(DIVERGES, first, math.inf, rate, f"it leaves all bounds in {counted(end, 'iteration')}")
    if (d < _THERE * first).any():
        end = int(np.argmax(d < _THERE * first))
        half = end // 2
        rate = (max(float(d[end]), 1e-300) / d[half]) ** (1 / max(1, end - half))
        about = f"its distance falls by {rate:.6g} an iteration"
        return Behaviour(CONVERGES, first, float(d[end]), float(rate), about)
    if (leaving := _leaving(d)) is not None:
        return leaving
    return _of_blocks(d, np.diff(path.numpy(), axis=0))


def _leaving(d: np.ndarray) -> Behaviour | None:
    """Return the behaviour of a trajectory that leaves a small neighbourhood by about the same factor all the time."""
    far = d > _LEFT * d[0]
    if not far.any():
        return None
    end = int(np.argmax(far))
    way = math.log(d[end // 2] / d[0]) / math.log(d[end] / d[0])
    if end < _LEAST_LEAVING or not 0.25 < way < 0.75:
        return None
    rate = float((d[end] / d[end // 4]) ** (1 / (end - end // 4)))
    last = float(d[-len(d) // BLOCKS :].max())
    return Behaviour(DIVERGES, float(d[0]), last, rate, f"it leaves the equilibrium by {rate:.6g} an iteration")


def _of_blocks(d: np.ndarray, steps: np.ndarray) -> Behaviour:
    size = max(1, (len(d) - 1) // BLOCKS)
    count = (len(d) - 1) // size
    tops = np.array([d[1 + i * size : 1 + (i + 1) * size].max() for i in range(count)])
    logs, third = np.log(np.maximum(tops, 1e-300)), count // 3
    middle, last = (_slope(logs[third : 2 * third]) / size, _slope(logs[2 * third :]) / size)
    first, end, length = float(d[0]), float(tops[-1]), len(d) - 1
    rate = math.exp(last)
    if abs(last) * length < max(_FLAT, _WAVES * _rest(logs[third:]) * length / (size * (count - third))):
        if np.abs(steps[-size:]).max() < _STILL * end:
            word = DIVERGES if end > _LEFT * first else UNDECIDED
            return Behaviour(word, first, end, about=f"it comes to rest elsewhere, at a distance of {end:.4g}")
        return Behaviour(CYCLES, first, end, about=f"its distance stays at {end:.4g}")
    ratio = last / middle if middle * last > 0 else 0.0
    if last > 0:
        if ratio > _POWER:
            return Behaviour(DIVERGES, first, end, rate, f"its distance grows by {rate:.6g} an iteration")
        return Behaviour(UNDECIDED, first, end, about=f"its distance still grows, to {end:.4g}")
    if _GEOMETRIC < ratio < _FASTER:
        return Behaviour(CONVERGES, first, end, rate, f"its distance falls by {rate:.6g} an iteration")
    if _POWER < ratio <= _GEOMETRIC:
        power = _slope(logs[third:], np.log((np.arange(third, count) + 0.5) * size))
        return Behaviour(SUBLINEAR, first, end, about=f"its distance falls like k^{power:.2f}")
    return Behaviour(UNDECIDED, first, end, about=f"its distance still falls, to {end:.4g}")


def _slope(y: np.ndarray, x: np.ndarray | None = None) -> float:
    x = np.arange(len(y), dtype=float) if x is None else x
    if len(y) < 2:
        return 0.0
    return float(np.polyfit(x, y, 1)[0])


def _rest(y: np.ndarray) -> float:
    """Return the standard deviation of the numbers about their line."""
    x = np.arange(len(y), dtype=float)
    return float((y - np.polyval(np.polyfit(x, y, 1), x)).std()) if len(y) > 2 else 0.0


def judge(paths: Tensor, rest: Tensor) -> tuple[Verdict, list[Behaviour]]:
    """Return the verdict on trajectories (K + 1, S, P), the first of which starts near the equilibrium (P,).

    The one from nearby decides. Where its distance stays as it is, a motion that is too slow to be seen there shows
    farther out: then the next that falls like a power, or leaves, decides.
    """
    each = [behaviour(paths[:, s], rest) for s in range(paths.shape[1])]
    decides = each[0]
    if decides.word in (CYCLES, UNDECIDED):
        decides = next((one for one in each[1:] if one.word in (SUBLINEAR, DIVERGES)), decides)
    said = "; ".join(f"from {one.first:.3g} {one.about}" for one in (decides, *(o for o in each if o is not decides)))
    return Verdict(decides.word, f"{said} ({len(paths) - 1:,} iterations)", decides.rate), each
