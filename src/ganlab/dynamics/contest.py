"""One training of a contest on points: how much of a mixture the generator covers after a budget of images."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ganlab.assembly import game as games
from ganlab.contracts.plan import plan
from ganlab.contracts.point_set import Modes
from ganlab.core.errors import GanlabError, sentence
from ganlab.dynamics.training import Training, configuration
from ganlab.metrics.modes import assigned
from ganlab.sampling import scatter

DEVIATIONS = 3.0  # of a good sample from its mode, at most
SAMPLES = 5000
_SHOWN, _SIDE = 600, 112  # samples and pixels of a picture
_WARM, _TIMED = 2, 4  # iterations by which one is timed


@dataclass(frozen=True)
class Coverage:
    """The part of a mixture of K modes that points cover; a point is good within three deviations of its mode.

    Args:
        modes: Modes with a good point.
        good: Share of good points.
        covered: Σ_k min(1/K, g_k), where g_k is the share of the points that are good and of mode k: 1 if all points
            are good and all modes have as many.
    """

    modes: int
    good: float
    covered: float


def coverage(points: Tensor, modes: Modes) -> Coverage:
    """Return how much of a mixture points (N, D) cover."""
    _, good = assigned(points.nan_to_num(nan=math.inf), modes, DEVIATIONS)
    shares = good.double() / len(points)
    return Coverage(int((good > 0).sum()), float(shares.sum()), float(shares.clamp(max=1 / len(shares)).sum()))


class Contestant:
    """A training with its averaged generator, which is the one that is judged, as `ganlab evaluate` judges it.

    Args:
        data: A data set of points whose modes are known.
        words: As in ``ganlab train``.

    Raises:
        GanlabError: As `ganlab train`, if the modes are not known, or if the parts cannot play on points.
    """

    def __init__(self, data: str, words: Sequence[str]) -> None:
        self.training = Training(configuration(data, words))
        if self.training.modes is None:
            raise GanlabError(f"The modes of {data} are not known, and a scoreboard counts them: take ring or grid.")
        self.modes = self.training.modes
        self._failed = False
        game, config = self.training.game, self.training.config
        self._average, _ = games.average(game, vars(config.ema), games.images_per_step(game, config.data.batch_size))

    def iterate(self) -> None:
        """Play one iteration, and move the average."""
        before = self.training.progress
        self.training.iterate()
        self._average.follow(before.images_seen, self.training.progress.images_seen - before.images_seen)

    def samples(self, count: int) -> Tensor:
        """Return points (count, D) of the averaged generator."""
        return self.training.samples(count, network=self._average["generator"])

    def seconds(self) -> float:
        """Play some iterations, and return the processor time of one.

        Raises:
            GanlabError: If the parts cannot play on points.
        """
        try:
            for _ in range(_WARM):
                self.iterate()
            start = time.process_time()
            for _ in range(_TIMED):
                self.iterate()
            return (time.process_time() - start) / _TIMED
        except (RuntimeError, ValueError, AttributeError, TypeError, IndexError) as error:
            raise GanlabError(f"It cannot play on points: {sentence(error)}") from error

    def images(self) -> int:
        """Return the real images of one iteration."""
        return plan(self.training.game, self.training.progress, self.training.config.data.batch_size).counted

    def play(self, images: float, frames: int = 0) -> list[Tensor]:
        """Train until so many real images were shown; return pictures (3, side, side) at equal distances.

        A training that fails, as decompositions of what is not finite do, ends there and covers nothing.

        Args:
            frames: Pictures; 0: none.
        """
        pictures: list[Tensor] = []
        reals = self.training.points[: scatter.REALS // 4]
        while True:
            seen = self.training.progress.images_seen
            if len(pictures) < frames and seen >= len(pictures) * images / max(1, frames - 1):
                pictures.append(_small(scatter.picture(self.samples(_SHOWN), reals, side=2 * _SIDE, framed=False)))
            if seen >= images:
                return pictures
            try:
                self.iterate()
            except torch.linalg.LinAlgError:
                self._failed = True
                return pictures

    def coverage(self) -> Coverage:
        """Return how much of the data the averaged generator covers."""
        if self._failed:
            return Coverage(0, 0.0, 0.0)
        with torch.no_grad():
            return coverage(self.samples(SAMPLES), self.modes)


def _small(picture: Tensor) -> Tensor:
    """Return a picture (3, H, W) at half its size."""
    return avg_pool2d(picture.float(), 2).round().to(torch.uint8)
