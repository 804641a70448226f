"""Fréchet inception distance, as it is and extrapolated to infinitely many samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch

from ganlab.contracts.figures import Chart, Line
from ganlab.contracts.metric import Context, Kept, Metric, Role, Score, Stream, Summary, Tensors, Value
from ganlab.core.checks import at_least
from ganlab.core.errors import GanlabError
from ganlab.metrics import intervals
from ganlab.metrics.frechet import Frechet
from ganlab.metrics.moments import Moments, combine, covariance, part_of


class FID(Metric):
    """Fréchet distance between Gaussians fitted to the features of real and generated images.

    FID = |m_r - m_g|^2 + tr (S_r + S_g - 2 (S_r S_g)^(1/2)), see `ganlab.metrics.frechet.Frechet`. It is biased
    upwards by about c / n: compare only equal numbers of samples, or use ``fid_infinity``.

    The interval is a jackknife over blocks of the generated samples, the real ones held fixed, of the distance's
    linear expansion around all samples (the infinitesimal jackknife, Jaeckel 1972): one decomposition for all blocks,
    and some 5 % wider than with one a block (with fewer samples than dimensions some 40 %). It ends at 0, below which
    there is no distance, and is one of FID at this number of samples, bias included: it need not hold the distance of
    infinitely many.

    Source: Heusel et al. 2017 (arXiv:1706.08500), equation 6.

    Args:
        blocks: Blocks of the jackknife; 1: no interval. Memory is 8 blocks D^2 bytes.

    Raises:
        ValueError: If ``blocks`` is not positive.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "fid": "How far generated images as a whole are from real ones: unreal images and missing kinds both count.",
    }

    def __init__(self, blocks: int = 10) -> None:
        self.blocks = at_least("blocks", blocks, 1)

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"moments": Moments(self.blocks if role == "fake" else 1)}

    def prepare(self, fake: Stream, context: Context) -> None:
        if fake.count < 2:
            raise GanlabError("fid needs at least two generated images: raise samples.")

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        fake, real = kept["fake"]["moments"], kept["real"]["moments"]
        value, changes = _leaving_out(gaussian(real), fake)
        low, high = intervals.within(intervals.jackknife(value, changes), 0.0) if changes else (None, None)
        return Score({"fid": Value(value, low, high, "lower")}, warnings=too_few(kept))


class FIDInfinity(Metric):
    """FID extrapolated to infinitely many generated samples.

    E[FID_n] = FID_inf + c / n to first order, so a straight line through FID against 1 / n meets the axis at
    FID_inf. FID_n is the mean over disjoint groups of blocks, for every size that divides the blocks.

    Source: Chong & Forsyth 2020 (arXiv:1911.07023), section 4. They draw random subsets with replacement
    from stored features, here disjoint groups need no stored features and use every sample at each size;
    only the bias of the generated side is removed, as there. The interval is that of ``fid`` around FID_inf: to first
    order a sample moves FID_n at every n, and so the line's end, by as much. Near a distance of 0 the line may end
    below it; neither value nor interval is cut off there, which would bring a bias back: take what is negative as no
    difference seen.

    Args:
        blocks: Blocks of the moments. All of them, halves, and fifths and tenths where those have
            at least 4 D samples, give the line.

    Raises:
        ValueError: If ``blocks`` is no multiple of 10.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "fid_infinity": "FID as it would be with infinitely many samples, free of the bias that few of them bring.",
    }

    def __init__(self, blocks: int = 10) -> None:
        if blocks < 10 or blocks % 10:
            raise ValueError(f"blocks must be a multiple of 10, got {blocks}")
        self.blocks = blocks

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"moments": Moments(self.blocks if role == "fake" else 1)}

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        fake, stream = kept["fake"]["moments"], kept["fake"].stream
        reference = gaussian(kept["real"]["moments"])
        blocks = [part_of(fake, b) for b in range(self.blocks)]
        inverse, means = [], []
        for groups in (1, 2, 5, 10):
            # the terms in 1 / n^2 matter below a few samples a dimension
            if groups > 2 and stream.count // groups < 4 * stream.feature_dim:
                continue
            size = self.blocks // groups
            values = [distance(reference, combine(blocks[g * size : (g + 1) * size])) for g in range(groups)]
            inverse.append(groups / stream.count)
            means.append(sum(values) / groups)
        x, y = torch.tensor(inverse, dtype=torch.float64), torch.tensor(means, dtype=torch.float64)
        slope = ((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()
        value = float(y.mean() - slope * x.mean())
        _, changes = _leaving_out(reference, fake)
        low, high = intervals.jackknife(value, changes) if changes else (None, None)
        curve = [{"samples": round(1 / i), "fid": m} for i, m in zip(inverse, means, strict=True)]
        about = "the line through FID against 1/samples at 0"
        found = {"fid_infinity": Value(value, low, high, "lower", about=about)}
        return Score(found, {"curve": curve}, [_chart(inverse, means, value)], too_few(kept))


def _chart(inverse: Sequence[float], means: Sequence[float], limit: float) -> Chart:
    """FID against 1 / samples, and the end of the line at infinitely many."""
    points = [(1000 * i, mean) for i, mean in zip(inverse, means, strict=True)]
    labels = [f"{round(1 / i):,} samples: {mean:.4g}" for i, mean in zip(inverse, means, strict=True)]
    lines = [Line("measured", points, labels=labels), Line("extrapolated", [(0.0, limit)])]
    return Chart("FID by number of samples", "1,000 / samples", "FID", lines, "at 0: infinitely many samples")


def gaussian(moments: Tensors) -> Frechet:
    """The Gaussian fitted to all blocks of a stream."""
    whole = combine([part_of(moments, b) for b in range(len(moments["count"]))])
    return Frechet(whole["mean"], covariance(whole), int(whole["count"]) - 1)


def distance(reference: Frechet, part: Tensors) -> float:
    return reference.distance(part["mean"], covariance(part), int(part["count"]) - 1)


def too_few(kept: Mapping[Role, Kept]) -> list[str]:
    """Return a warning for each stream that has too few images for a covariance of full rank."""
    found = []
    for role, what in (("fake", "generated"), ("real", "real")):
        stream = kept[role].stream  # type: ignore[index]
        if stream.count <= stream.feature_dim:
            found.append(
                f"{stream.count:,} {what} images in {stream.feature_dim:,} feature dimensions: the covariance lacks "
                f"rank, and the Fréchet distance is mostly bias; take more than {stream.feature_dim:,} "
                f"images or features of fewer dimensions."
            )
    return found


def _leaving_out(reference: Frechet, fake: Tensors) -> tuple[float, list[float]]:
    """Return the distance of all blocks, and to first order its change when each of them is left out; no changes where
    blocks are too few or too small."""
    count, means = fake["count"], fake["mean"]
    whole = combine([part_of(fake, b) for b in range(len(count))])
    if len(count) < 2 or float(count.min()) < 2:
        return distance(reference, whole), []
    spread = covariance(whole)
    value, by_mean, by_covariance = reference.expanded(whole["mean"], spread, int(whole["count"]) - 1)
    inside = fake["scatter"].flatten(1) @ by_covariance.flatten()  # of each block: the derivative times its scatter
    level = (by_covariance * spread).sum()
    changes = []
    for left_out in range(len(count)):
        others = torch.arange(len(count), device=count.device) != left_out
        total = count[others].sum()
        mean = count[others] @ means[others] / total
        offsets = means[others] - mean
        between = count[others] @ ((offsets @ by_covariance) * offsets).sum(1)
        scatter = inside[others].sum() + between
        changes.append(float(by_mean @ (mean - whole["mean"]) + scatter / (total - 1) - level))
    return value, changes
