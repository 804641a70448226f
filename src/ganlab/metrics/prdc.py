"""Precision, recall, density and coverage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from ganlab.contracts.metric import Context, Kept, Metric, Role, Score, Summary, Value
from ganlab.core.checks import at_least
from ganlab.core.errors import GanlabError
from ganlab.metrics import intervals, neighbours
from ganlab.metrics.stored import StoredFeatures


class PRDC(Metric):
    """Precision, recall, density and coverage: overlap of the generated and the real manifold, by nearest neighbours.

    A ball around each point reaches to its k-th nearest neighbour in its own set (itself not counted):
    precision  share of generated images inside a real image's ball
    recall     share of real images inside a generated image's ball
    density    mean over generated images of (number of real balls around it) / k; may exceed 1
    coverage   share of real balls that hold a generated image

    ``inclusive`` decides ties: Naeem et al.'s code counts d < r, Kynkäänniemi et al.'s d <= r with k = 3.
    Intervals are for another draw of the generated images, the real ones held fixed: of precision and recall Wilson's,
    of density that of a mean, of coverage the wider of Wilson's and that of a jackknife that leaves out one image
    at a time: one image may cover many real ones. (The jackknife keeps the other radii. For recall, where the
    ball of a far image is large and others would grow into it, that is far too wide; in simulations Wilson's interval
    of recall holds 92 to 93 %.)

    Source: Naeem et al. 2020 (arXiv:2002.09797), section 3; Kynkäänniemi et al. 2019 (arXiv:1904.06991),
    equations 1 and 2.

    Args:
        nearest: k.
        inclusive: Whether a point on the surface of a ball lies in it.
        limit: Images of each set, a random choice of more; memory is 4 limit D bytes, some five times that while it
            is scored, and blocks of distances that do not grow with limit^2.

    Raises:
        ValueError: If ``nearest`` is not positive or ``limit`` not above it.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "precision": "Share of generated images that lie among the real ones: do they look real?",
        "recall": "Share of real images that lie among the generated ones: is every kind made?",
        "density": "How many real images lie around a generated one; it may exceed 1.",
        "coverage": "Share of real images that have a generated one close by.",
    }

    def __init__(self, nearest: int = 5, inclusive: bool = False, limit: int = 10_000) -> None:
        at_least("nearest", nearest, 1)
        if limit <= nearest:
            raise ValueError(f"limit must be above nearest={nearest}, got {limit}")
        self.nearest, self.inclusive, self.limit = nearest, inclusive, limit

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"features": StoredFeatures(self.limit)}

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        fake, real = (kept[role]["features"]["features"] for role in ("fake", "real"))
        if min(len(fake), len(real)) <= self.nearest:
            raise GanlabError(
                f"prdc with nearest={self.nearest} needs more than {self.nearest} real and generated images, got "
                f"{len(real):,} and {len(fake):,}: raise samples or lower prdc.nearest."
            )
        found, errors = _measure(real, fake, self.nearest, self.inclusive)
        counts = {"precision": len(fake), "recall": len(real), "coverage": len(real)}
        values = {}
        for name, value in found.items():
            half = intervals.NORMAL * errors.get(name, 0.0)
            low, high = max(0.0, value - half), value + half
            if name in counts:
                wilson = intervals.wilson(value, counts[name])
                low, high = min(low, wilson[0]), max(min(high, 1.0), wilson[1])
            values[name] = Value(value, low, high, "higher")
        return Score(values)


def prdc(real: Tensor, fake: Tensor, nearest: int = 5, inclusive: bool = False) -> dict[str, float]:
    """Precision, recall, density and coverage of features (N, D) and (M, D) of any floating type, taken as float32."""
    return _measure(real.float(), fake.float(), nearest, inclusive)[0]


def _measure(real: Tensor, fake: Tensor, nearest: int, inclusive: bool) -> tuple[dict[str, float], dict[str, float]]:
    """The four, and standard errors of some over generated images."""
    real_limits, fake_limits = (neighbours.radii(points, nearest) for points in (real, fake))
    found = neighbours.balls(real, fake, real_limits, fake_limits, inclusive)
    values = {
        "precision": (found.held > 0).double().mean(),
        "recall": found.recalled.double().mean(),
        "density": found.held.mean() / nearest,
        "coverage": (found.covering > 0).double().mean(),
    }
    # coverage without one generated image lacks the real ones that this image alone covers
    alone = found.only[found.covering == 1].bincount(minlength=len(fake)).double() / len(real)
    errors = {
        "density": found.held.std() / nearest / len(fake) ** 0.5,
        "coverage": (alone.square().sum() - alone.sum().square() / len(fake)).sqrt(),
    }
    return {name: float(value) for name, value in values.items()}, {name: float(e) for name, e in errors.items()}
