"""Diversity within classes by multi-scale structural similarity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ganlab.contracts.metric import Context, Kept, Metric, Role, Score, Stream, Summary, Tensors, Value
from ganlab.core import randomness
from ganlab.core.checks import at_least
from ganlab.core.errors import GanlabError
from ganlab.metrics import intervals
from ganlab.metrics.stored import StoredImages

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_WINDOW, _SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03


class MSSSIM(Metric):
    """Mean MS-SSIM of random pairs of generated images of one class, averaged over classes: 1 where all are alike.

    Without labels all images are one class. Compare it with the real images' own value: a generator that is as diverse
    is near to it, one that has collapsed is above it. The interval knows that pairs which share an image are not
    independent.

    Source: Odena et al. 2017 (arXiv:1610.09585), section 4.2; MS-SSIM: Wang et al. 2003, with its weights, an
    11 x 11 Gaussian window of sigma 1.5, and no padding. Images too small for five scales take as many as
    fit, with the weights scaled to a sum of 1; below 11 pixels the window is as large as the image.

    Args:
        pairs: Random pairs of each class.
        limit: Images that are kept of each set; memory is limit C H W bytes.

    Raises:
        ValueError: If a number is out of range.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "ms_ssim": "How alike two generated images are; more than two real ones: the generator repeats itself.",
    }

    def __init__(self, pairs: int = 100, limit: int = 2000) -> None:
        self.pairs, self.limit = at_least("pairs", pairs, 1), at_least("limit", limit, 2)

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"images": StoredImages(self.limit)}

    def memory(self, fake: Stream) -> float:
        return super().memory(fake) + 16.0 * self.pairs  # the members of each

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        rows = {role: dict(kept[role]["images"]) for role in ("fake", "real")}
        if any(bool((r["labels"] < 0).any()) for r in rows.values()):  # both by class, or neither
            for r in rows.values():
                r["labels"] = torch.full_like(r["labels"], -1)
        fake, error, classes = self._mean(rows["fake"], kept["fake"].stream.seed)
        real, _, _ = self._mean(rows["real"], kept["real"].stream.seed)
        half = intervals.NORMAL * error
        low, high = intervals.within((fake - half, fake + half), 0.0, 1.0) if math.isfinite(half) else (None, None)
        about = f"mean over {classes} classes" if classes > 1 else "over all images"
        return Score({"ms_ssim": Value(fake, low, high, "real", real, about)})

    def _mean(self, rows: Tensors, seed: int) -> tuple[float, float, int]:
        """Mean over classes, its standard error, and the number of classes."""
        means, variances = [], []
        for label in rows["labels"].unique().tolist():
            images = rows["images"][(rows["labels"] == label).to(rows["images"].device)]
            if len(images) < 2:
                continue
            generator = randomness.generator("cpu", seed, "pairs", label)
            first = torch.randint(len(images), (self.pairs,), generator=generator)
            other = torch.randint(len(images) - 1, (self.pairs,), generator=generator)
            other = other + (other >= first)  # never the same image
            values = torch.cat(
                [
                    ms_ssim(images[a.to(images.device)].float(), images[b.to(images.device)].float())
                    for a, b in zip(first.split(32), other.split(32), strict=True)
                ]
            ).double()
            means.append(float(values.mean()))
            variances.append(variance_of_mean(values, first, other))
        if not means:
            raise GanlabError("ms_ssim needs two images of a class, and no class has two: raise samples.")
        return sum(means) / len(means), sum(variances) ** 0.5 / len(means), len(means)


def variance_of_mean(values: Tensor, first: Tensor, other: Tensor) -> float:
    """Return the variance of the mean of the values (P,) of pairs.

    V = sum r_e r_f / P^2 over all e and f that share a member, r_e the value less the mean, divided by the share of e
    and f that do not: r_e lacks what all values have in common. V is infinite where all pairs share a member.

    Source: Fafchamps & Gubert 2007 (dyadic-robust variance), without regressors; the denominator is ours.

    Args:
        first, other: Members (P,) of each pair, never equal.
    """
    values = values.double().cpu()
    members = int(torch.maximum(first, other).max()) + 1
    _, pair = (torch.minimum(first, other) * members + torch.maximum(first, other)).unique(return_inverse=True)

    def over_sharing(x: Tensor) -> float:
        """sum x_e x_f over all e and f that share a member."""
        of_member, of_pair = torch.zeros(2, max(members, len(x)), dtype=torch.float64)
        of_member.index_add_(0, first, x).index_add_(0, other, x)
        of_pair.index_add_(0, pair, x)  # who shares both members was counted twice
        return float(of_member.square().sum() - of_pair.square().sum())

    share = over_sharing(torch.ones_like(values)) / len(values) ** 2
    rest = values - values.mean()
    # where members do not matter the sum may come out below that of independent pairs
    total = max(over_sharing(rest), float(rest.square().sum()))
    return total / len(values) ** 2 / (1 - share) if share < 1 else math.inf


def ms_ssim(x: Tensor, y: Tensor, largest: float = 255.0) -> Tensor:
    """MS-SSIM (B,) of images (B, C, H, W) with values in [0, largest]; the mean over channels at each scale."""
    scales = 1
    while scales < len(WEIGHTS) and min(x.shape[2:]) // 2**scales >= _WINDOW:
        scales += 1
    weights = torch.tensor(WEIGHTS[:scales], device=x.device)
    weights = weights / weights.sum()
    value = torch.ones(len(x), device=x.device)
    for scale in range(scales):
        similarity, contrast = _ssim(x, y, largest)
        last = scale == scales - 1
        value = value * (similarity if last else contrast).clamp(min=0) ** weights[scale]
        if not last:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return value


def _ssim(x: Tensor, y: Tensor, largest: float) -> tuple[Tensor, Tensor]:
    """Structural similarity and its contrast-structure part, each (B,)."""
    size = min(_WINDOW, *x.shape[2:])
    offsets = torch.arange(size, device=x.device) - (size - 1) / 2
    line = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    line = line / line.sum()

    def blurred(images: Tensor) -> Tensor:
        channels = images.shape[1]
        images = F.conv2d(images, line.view(1, 1, -1, 1).expand(channels, -1, -1, -1), groups=channels)
        return F.conv2d(images, line.view(1, 1, 1, -1).expand(channels, -1, -1, -1), groups=channels)

    c1, c2 = (_K1 * largest) ** 2, (_K2 * largest) ** 2
    mean_x, mean_y = blurred(x), blurred(y)
    variance_x = (blurred(x * x) - mean_x * mean_x).clamp(min=0)
    variance_y = (blurred(y * y) - mean_y * mean_y).clamp(min=0)
    covariance = blurred(x * y) - mean_x * mean_y
    contrast = (2 * covariance + c2) / (variance_x + variance_y + c2)
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    return (luminance * contrast).mean((1, 2, 3)), contrast.mean((1, 2, 3))
