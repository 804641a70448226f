"""Modes that generated points find."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from ganlab.contracts.figures import Table
from ganlab.contracts.metric import Context, Kept, Metric, Role, Score, Stream, Summary, Value
from ganlab.contracts.point_set import Modes
from ganlab.core.checks import at_least, positive
from ganlab.core.errors import GanlabError
from ganlab.metrics import intervals
from ganlab.metrics.stored import StoredImages

_LISTED = 100  # modes of a table


class ModeCoverage(Metric):
    """Modes that generated points find, of a data set whose modes are known.

    modes              modes that have at least one good sample as their nearest mode
    good_samples       share of samples within ``deviations`` standard deviations of their nearest mode
    modes_reverse_kl   KL(q || p) in nats, q the shares of the samples whose nearest mode is each, p those of real
                       points; 0 where all modes are hit equally

    Intervals are for another draw of as many generated points: of a number of modes from the probability that each is
    found again, those without a sample taken to have none; Wilson's of the share; Student's of the reverse KL, by its
    derivative (delta method), from 0 on.

    Source: Srivastava et al. 2017 (VEEGAN, arXiv:1705.07761), sec. 4.1, for the first two, with 3 deviations; Lin et
    al. 2018 (PacGAN, arXiv:1712.04086), sec. 4.1, for all three.

    Args:
        deviations: Of a good sample from its mode, at most.
        limit: Points of each stream that are looked at, at least 1.

    Raises:
        ValueError: If an option is out of range.
    """

    of_points = True
    meanings: ClassVar[Mapping[str, str]] = {
        "modes": "How many of the data's modes have samples: fewer is mode collapse.",
        "good_samples": "Share of the samples that lie where real points lie, and not between the modes.",
        "modes_reverse_kl": "How unequally samples are spread over the modes: 0 is as the data.",
    }

    def __init__(self, deviations: float = 3.0, limit: int = 10_000) -> None:
        self.deviations, self.limit = positive("deviations", deviations), at_least("limit", limit, 1)

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"points": StoredImages(self.limit)}

    def prepare(self, fake: Stream, context: Context) -> None:
        if context.modes is None:
            raise GanlabError("modes needs data whose modes are known, and these points have none: leave modes out.")

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        modes = context.modes
        assert modes is not None
        counts, good = {}, {}
        for role in ("fake", "real"):
            points = kept[role]["points"]["images"].flatten(1)
            counts[role], good[role] = assigned(points, modes, self.deviations)
        total, number = int(counts["fake"].sum()), len(modes.centres)
        found, least = int((good["fake"] > 0).sum()), found_again(good["fake"], total)
        share = float(good["fake"].sum()) / total
        kl, ends = reverse_kl(counts["fake"], counts["real"])
        of_real = float(good["real"].sum()) / int(counts["real"].sum())
        values = {
            "modes": Value(found, least, found, "higher", about=f"of {number:,}"),
            "good_samples": Value(
                share, *intervals.wilson(share, total), "higher", of_real, f"within {self.deviations:g} deviations"
            ),
            "modes_reverse_kl": Value(kl, *ends, "lower", about="nats, over modes"),
        }
        details = {"counts": counts["fake"].tolist(), "good": good["fake"].tolist()}
        return Score(values, details, [_table(counts, good, modes)] if number <= _LISTED else [])


def assigned(points: Tensor, modes: Modes, deviations: float) -> tuple[Tensor, Tensor]:
    """Return how many points (N, D) are nearest to each mode, and how many of these are good, int64 (K,) each."""
    centres = modes.centres.to(points.device)
    distance, nearest = torch.cdist(points.double(), centres).min(1)
    good = distance <= deviations * modes.std
    return tuple(torch.bincount(x, minlength=len(centres)).cpu() for x in (nearest, nearest[good]))  # type: ignore[return-value]


def found_again(good: Tensor, count: int) -> int:
    """Return the 2.5 % quantile of the number of modes that another draw finds, if mode k has the share good_k / count.

    The modes are taken to be found independently of each other.
    """
    missed = (1 - good.double() / count) ** count
    chances = torch.ones(1, dtype=torch.float64)  # of 0, 1, ... modes
    for miss in missed.tolist():
        more = torch.zeros(len(chances) + 1, dtype=torch.float64)
        more[:-1] += miss * chances
        more[1:] += (1 - miss) * chances
        chances = more
    return int((chances.cumsum(0) < 0.025).sum())


def reverse_kl(fake: Tensor, real: Tensor) -> tuple[float, tuple[float, float]]:
    """Return KL(q || p) in nats of the shares of two counts (K,), and its interval for another draw of the first.

    Modes without a real point, which cannot be in the data, count as one. The interval is Student's, from the variance
    of log(q / p) under q.
    """
    count = float(fake.sum())
    q, p = fake.double() / count, real.double().clamp(min=1) / float(real.double().clamp(min=1).sum())
    ratio = (q.clamp(min=1e-300) / p).log()
    kl = float((q * ratio).sum())
    half = intervals.student(max(1, int(count) - 1)) * math.sqrt(
        max(0.0, float((q * ratio.square()).sum()) - kl**2) / count
    )
    return max(0.0, kl), intervals.within((kl - half, kl + half), 0.0)


def _table(counts: Mapping[str, Tensor], good: Mapping[str, Tensor], modes: Modes) -> Table:
    shares = {role: (found.double() / found.sum()).tolist() for role, found in counts.items()}
    rows = [
        [
            ", ".join(f"{round(x, 6) + 0.0:g}" for x in centre),
            shares["fake"][k],
            shares["real"][k],
            int(good["fake"][k]),
        ]
        for k, centre in enumerate(modes.centres.tolist())
    ]
    return Table("Samples of each mode", ["centre", "share of samples", "share of real points", "good samples"], rows)
