"""The energy view: the landscape U(x) = -D(x) that a discriminator digs, and how samples roll down in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganlab.dynamics import margins
from ganlab.dynamics.contest import Coverage, coverage
from ganlab.dynamics.margins import Margins
from ganlab.dynamics.training import Training
from ganlab.reports.words import counted
from ganlab.sampling import scatter
from ganlab.sampling.scatter import Bounds

_POINTS = 80  # of the landscape along a side
_SAMPLES, _PATHS, _STEPS = 1000, 60, 60  # samples, those that roll, and steps of a path
_STRIDE = 0.012  # of a step of a path, as a share of the picture
# colours from pits to hills
SAMPLE, _MARGIN = (255, 205, 40), (0, 0, 0)
_LOW, _MIDDLE, _HIGH = (np.array(c, dtype=float) for c in ((26, 52, 110), (222, 235, 230), (196, 92, 50)))


@dataclass(frozen=True)
class Landscape:
    """A discriminator's energy at one point of training.

    Args:
        iteration: Iterations that were played.
        bounds: (low, high) of each axis.
        energy: U (rows, columns), from the lower left corner on; of numbers (1, columns).
        samples: Generated points (N, D).
        paths: Where some of them roll (steps, P, D): x <- x - a ∇U(x)/||∇U(x)||.
        slope: Median of ||∇U|| at the samples.
        slope_of_reals: Median of ||∇U|| at the real points.
        coverage: Of the modes; None where they are not known.
        margins: See `ganlab.dynamics.margins.of`.
        beyond: Shares of real points and of samples beyond the margins; None where there are none.
    """

    iteration: int
    bounds: Bounds
    energy: Tensor
    samples: Tensor
    paths: Tensor
    slope: float
    slope_of_reals: float
    coverage: Coverage | None
    margins: Margins | None
    beyond: tuple[float, float] | None

    def __str__(self) -> str:
        """Describe it in a line of a terminal."""
        said = f"median slope {self.slope:.3g} at the samples, {self.slope_of_reals:.3g} at real points"
        if self.coverage is not None:
            said = f"{counted(self.coverage.modes, 'mode')}, {100 * self.coverage.good:.0f} % good, {said}"
        if self.beyond is not None:
            real, fake = (f"{100 * share:.0f} %" for share in self.beyond)
            said += f"; beyond the margin {real} of real points, {fake} of samples"
        return f"iteration {self.iteration:,}: {said}"

    @property
    def caption(self) -> str:
        """Describe it below a picture."""
        found = "" if self.coverage is None else f", {counted(self.coverage.modes, 'mode')}"
        return f"iteration {self.iteration:,}{found}, slope {self.slope:.3g}"


def landscapes(training: Training, iterations: int, frames: int) -> Iterator[Landscape]:
    """Train, and yield the landscape at the start, at equal distances, and at the end.

    Raises:
        GanlabError: If the discriminator judges no single points.
    """
    at = {round(iterations * frame / max(1, frames - 1)) for frame in range(frames)}
    for iteration in range(iterations + 1):
        if iteration:
            training.iterate()
        if iteration in at:
            yield landscape(training)


def landscape(training: Training) -> Landscape:
    """Return the landscape at the present weights."""
    reals = training.points
    bounds = scatter.around(reals)
    places = grid(bounds, _POINTS, reals)
    with torch.no_grad():
        energy = training.energy(places).view(-1, _POINTS)
    samples = training.samples(_SAMPLES)
    paths = downhill(training, samples[:_PATHS], _STEPS, _STRIDE * (bounds[0][1] - bounds[0][0]))
    some = reals[: scatter.REALS]
    ends = margins.of(training)
    return Landscape(
        training.progress.iteration,
        bounds,
        energy,
        samples,
        paths,
        slope(training, samples),
        slope(training, some),
        None if training.modes is None else coverage(samples, training.modes),
        ends,
        None if ends is None else _beyond(training, some, samples, ends),
    )


def grid(bounds: Bounds, side: int, like: Tensor) -> Tensor:
    """Return points (N, D) at equal distances, ``side`` along each axis, row by row from the lower left corner on."""
    across = torch.linspace(*bounds[0], side)
    if like.shape[1] == 1:
        return across[:, None]
    return torch.stack(torch.meshgrid(across, torch.linspace(*bounds[1], side), indexing="xy"), 2).flatten(0, 1)


def slope(training: Training, points: Tensor) -> float:
    """Return the median of ||∇U|| at points (N, D)."""
    return float(gradient(training, points).norm(dim=1).median())


def _beyond(training: Training, reals: Tensor, samples: Tensor, ends: Margins) -> tuple[float, float]:
    with torch.no_grad():
        deep, high = training.energy(reals) <= ends[0], training.energy(samples) >= ends[1]
    return float(deep.float().mean()), float(high.float().mean())


def downhill(training: Training, points: Tensor, steps: int, stride: float) -> Tensor:
    """Return where points (P, D) roll, (steps + 1, P, D): steps are ``stride`` long, half as long after one uphill."""
    found, x = [points], points
    length = torch.full((len(points), 1), stride)
    with torch.no_grad():
        before = training.energy(x)
    for _ in range(steps):
        slopes = gradient(training, x)
        x = x - length * slopes / slopes.norm(dim=1, keepdim=True).clamp(min=1e-12)
        with torch.no_grad():
            now = training.energy(x)
        length = torch.where((now > before)[:, None], length / 2, length)
        before = now
        found.append(x)
    return torch.stack(found)


def gradient(training: Training, points: Tensor) -> Tensor:
    """Return ∇U (N, D) at points (N, D)."""
    x = points.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(training.energy(x).sum(), x)
    return found


def picture(
    found: Landscape, reals: Tensor, side: int = scatter.SIDE, ends: tuple[float, float] | None = None
) -> Tensor:
    """Draw a landscape: uint8 (3, side, side).

    Pits are dark blue and hills orange; real points are grey, generated ones yellow, paths downhill white, and margins
    black. Of numbers the energy is a red line above the histogram.

    Args:
        ends: Energies of the two ends of the colours; None: the landscape's own.
    """
    low, high = ends or extent([found])
    if found.samples.shape[1] == 1:
        return _profile(found, reals, side, (low, high))
    height = torch.nn.functional.interpolate(
        found.energy.flip(0)[None, None], (side, side), mode="bilinear", align_corners=True
    )[0, 0].numpy()
    below = coloured((height - low) / max(high - low, 1e-12))
    for margin in found.margins or ():
        below[_edge(height < margin)] = 0
    canvas = scatter.picture(found.samples, reals, bounds=found.bounds, side=side, below=below, colour=SAMPLE)
    return scatter.lines(canvas, found.paths, found.bounds)


def extent(found: Sequence[Landscape]) -> tuple[float, float]:
    """Return the energies between which nearly all of some landscapes lie."""
    whole = torch.cat([each.energy.flatten() for each in found])
    low, high = torch.quantile(whole[:: max(1, len(whole) // 100_000)], torch.tensor([0.005, 0.995])).tolist()
    return low, high if high > low else low + 1.0


def coloured(share: np.ndarray) -> np.ndarray:
    """Colours (..., 3) of shares from 0, a pit, to 1, a hill, with a line at each twelfth."""
    s = np.clip(share, 0, 1)[..., None]
    colours = np.where(s < 0.5, _LOW + (_MIDDLE - _LOW) * 2 * s, _MIDDLE + (_HIGH - _MIDDLE) * (2 * s - 1))
    edge = _edge(np.floor(np.clip(share, 0, 1) * 12))
    found: np.ndarray = np.where(edge[..., None], colours * 0.8, colours)
    return found


def _edge(levels: np.ndarray) -> np.ndarray:
    """Tell of each pixel if the one above or left of it has another level."""
    found: np.ndarray = np.zeros(levels.shape, dtype=bool)
    found[1:] |= levels[1:] != levels[:-1]
    found[:, 1:] |= levels[:, 1:] != levels[:, :-1]
    return found


def _profile(found: Landscape, reals: Tensor, side: int, ends: tuple[float, float]) -> Tensor:
    canvas = scatter.picture(found.samples, reals, bounds=found.bounds, side=side)
    (left, right), _ = found.bounds
    across = torch.linspace(left, right, found.energy.shape[1])
    share = (found.energy[0] - ends[0]) / (ends[1] - ends[0])
    frame = ((left, right), (-0.05, 1.05))
    for margin in found.margins or ():
        level = (margin - ends[0]) / (ends[1] - ends[0])
        if 0 <= level <= 1:
            canvas = scatter.lines(canvas, torch.tensor([[[left, level]], [[right, level]]]), frame, colour=_MARGIN)
    curve = torch.stack([across, share.clamp(0, 1)], 1)[:, None]  # (columns, 1, 2)
    return scatter.lines(canvas, curve, frame, colour=scatter.OUTSIDE)
