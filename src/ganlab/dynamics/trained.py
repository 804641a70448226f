"""The verdict on a game whose networks are trained on points, by its trajectory: it has no known equilibrium."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median_high

import torch
from torch import Tensor

from ganlab.core import randomness
from ganlab.dynamics import energy
from ganlab.dynamics.contest import Coverage, coverage
from ganlab.dynamics.training import Training
from ganlab.dynamics.verdicts import CONVERGES, CYCLES, DIVERGES, UNDECIDED, Verdict
from ganlab.metrics.energy_distance import between
from ganlab.reports.words import counted
from ganlab.sampling import scatter

LOOKS = 40  # at equal distances over the training
_POINTS = 1000  # generated and real ones of a look
_NEAR = 0.02  # of the first distance: as near as samples of so many points tell
_AWAY = 2.0  # times the first distance: it has left
_FALLS = 0.7  # the distance of the last quarter over that of the second, below which it still falls
_MOVES = 0.02  # motion between two looks, as a share of the spread of the real points
_NO_MODES = Coverage(0, 0.0, 0.0)


@dataclass(frozen=True)
class Look:
    """The generator at one moment of training, itself and not its average, which would hide that it cycles.

    Args:
        iteration: Iterations that were played.
        distance: Energy distance 2 E|x - y| - E|x - x'| - E|y - y'| of generated and real points.
        coverage: Of the modes; nothing where they are not known.
        samples: Generated points (N, D) of latents that stay the same.
    """

    iteration: int
    distance: float
    coverage: Coverage
    samples: Tensor


def looks(training: Training, iterations: int) -> Iterator[Look]:
    """Train, and yield a look at the start, at equal distances, and at the end; end where points are not finite."""
    order = torch.randperm(len(training.points), generator=randomness.generator("cpu", 0, "looks"))
    reals = training.points[order[:_POINTS]].double()
    at = {round(iterations * k / LOOKS) for k in range(LOOKS + 1)}
    for iteration in range(iterations + 1):
        if iteration:
            training.iterate()
        if iteration in at:
            samples = training.samples(_POINTS)
            known = training.modes
            yield Look(
                iteration,
                energy_distance(samples.double(), reals),
                _NO_MODES if known is None else coverage(samples, known),
                samples,
            )
            if not samples.isfinite().all():
                return


def energy_distance(x: Tensor, y: Tensor) -> float:
    """Return the energy distance of points (N, D) and (M, D), of pairs of different points."""
    n, m = len(x), len(y)
    within = float(between(x, x)) / (n * (n - 1)) + float(between(y, y)) / (m * (m - 1))
    return 2 * float(between(x, y)) / (n * m) - within


def picture(training: Training, look: Look) -> Tensor:
    """Draw the landscape with its samples, or the samples alone where the game has none, with a line below it."""
    reals, modes = training.points[: scatter.REALS], training.modes
    if look.samples.isfinite().all() and training.has_energy:
        drawn = energy.picture(energy.landscape(training), reals)
    else:
        drawn = scatter.picture(look.samples.nan_to_num(nan=0.0), reals)
    found = "" if modes is None else f", {look.coverage.modes} of {counted(len(modes.centres), 'mode')}"
    return scatter.captioned(drawn, [f"iteration {look.iteration:,}{found}"])


def judge(found: Sequence[Look], training: Training) -> Verdict:
    """Return the verdict on a training.

    diverges    points are not finite, or the distance of the last quarter is twice the first one or more
    converges   in all of the last quarter the distance is at most 2 % of the first one, and all modes are found
    cycles      otherwise, the distance no longer falls (that of the last quarter is at least 0.7 times that of the
                second), and points still move
    undecided   otherwise: the distance still falls, or points rest elsewhere
    """
    first, last = found[0].distance, found[-1]
    if not last.samples.isfinite().all():
        return Verdict(DIVERGES, f"points are not finite from iteration {last.iteration:,} on")
    quarter = max(1, len(found) // 4)
    late, middle = found[-quarter:], found[quarter : 2 * quarter] or found
    distance = median_high([look.distance for look in late])
    said = f"in the last quarter the energy distance is {distance:.3g}, and was {first:.3g} at the start"
    if distance > _AWAY * first:
        return Verdict(DIVERGES, said)
    modes = 0 if training.modes is None else len(training.modes.centres)
    counts = [look.coverage.modes for look in late]
    if modes:
        least, most = min(counts), max(counts)
        said += f"; of {counted(modes, 'mode')} {least if least == most else f'{least} to {most}'} are found"
    if max(look.distance for look in late) <= _NEAR * first and min(counts, default=0) == modes:
        return Verdict(CONVERGES, said)
    before = median_high([look.distance for look in middle])
    if distance < _FALLS * before:
        return Verdict(UNDECIDED, f"{said}, and it still falls: give more iterations")
    spread = float(training.points.std(0).norm())
    steps = [float((b.samples - a.samples).norm(dim=1).mean()) / spread for a, b in itertools.pairwise(late)]
    moved = median_high(steps) if steps else 0.0
    said += f"; a point moves by {100 * moved:.2g} % of the data's spread between two looks"
    return Verdict(CYCLES if moved > _MOVES else UNDECIDED, said if moved > _MOVES else f"{said}: it rests elsewhere")


def lines(found: Sequence[Look], training: Training, problem: str) -> Iterator[str]:
    """Yield the lines of a terminal about a training; the last one is ``verdict: W``."""
    last, verdict = found[-1], judge(found, training)
    yield f"problem: {problem}: {len(training.points):,} points, a generator and a discriminator that are trained"
    yield "theory: undecided: trained networks have no known equilibrium"
    if training.modes is not None:
        yield f"modes: {last.coverage.modes} of {len(training.modes.centres)}"
        good, covered = (f"{100 * share:.1f} %" for share in (last.coverage.good, last.coverage.covered))
        yield f"good samples: {good}; covered: {covered} of the data"
    yield f"energy distance: {last.distance:.4g}"
    yield f"simulation: {verdict.word}: {verdict.reason}"
    yield f"verdict: {verdict.word}"
