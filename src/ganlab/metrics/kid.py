"""Kernel inception distance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ganlab.contracts.metric import Context, Kept, Metric, Role, Score, Stream, Summary, Value
from ganlab.core import randomness
from ganlab.core.checks import at_least
from ganlab.core.errors import GanlabError
from ganlab.metrics import intervals
from ganlab.metrics.stored import StoredFeatures

_ELEMENTS = 2**24  # of a block of the kernel's matrix
_SPREAD = 1000  # images of each kind that the interval is estimated from
_FEWEST = 4  # images without which there is no such estimate


class KID(Metric):
    """Squared maximum mean discrepancy of features under the kernel k(x, y) = (x.y / D + 1)^3, unbiased.

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j), with mean
    and population deviation over random subsets of both sets, as published; it may be slightly negative.
    Subsets are drawn as torch-fidelity draws them. The interval is for another draw of the generated and of the real
    images, mean -+ 1.96 sqrt(V + (V_m - V) / subsets) with V the variance of the U-statistic of all images and V_m
    that of a subset, see `Spread`: the deviation over subsets is that of m images and says nothing of all of them.

    Source: Binkowski et al. 2018 (arXiv:1801.01401), section 4; subsets: appendix D.2.

    Args:
        subsets: Number of subsets.
        subset_size: m, or half of the smaller set where that has fewer images.
        limit: Features that are kept of each set; memory is 4 limit D bytes for each, and blocks of the kernel's
            matrices, which do not grow with it.
        seed: Of the subsets.

    Raises:
        ValueError: If a number is out of range.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "kid": "A distance like FID, whatever the number of images; around 0 nothing tells the two sets apart.",
        "kid_std": "How much KID differs between the subsets that it is averaged over.",
    }

    def __init__(self, subsets: int = 100, subset_size: int = 1000, limit: int = 50_000, seed: int = 2020) -> None:
        for name, number, least in (("subsets", subsets, 1), ("subset_size", subset_size, 2), ("seed", seed, 0)):
            at_least(name, number, least)
        if limit < subset_size:
            raise ValueError(f"limit must be at least subset_size={subset_size}, got {limit}")
        self.subsets, self.subset_size, self.limit, self.seed = subsets, subset_size, limit, seed

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"features": StoredFeatures(self.limit)}

    def memory(self, fake: Stream) -> float:
        return super().memory(fake) + 16.0 * self.subsets * min(self.subset_size, fake.count)  # places, of both sets

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        fake, real = (kept[role]["features"]["features"] for role in ("fake", "real"))
        fewest = min(len(fake), len(real))
        if fewest < 2:
            raise GanlabError("kid needs at least two real and two generated images: raise samples.")
        # subsets of all images would all be the same one
        size = self.subset_size if fewest >= self.subset_size else max(2, fewest // 2)
        values = subset_distances(fake, real, self.subsets, size, self.seed)
        mean, deviation = float(values.mean()), float(values.std(unbiased=False))
        low, high = None, None
        if fewest >= _FEWEST:
            of_all = Spread.of(fake, real, self.seed).variance
            whole, part = of_all(len(fake), len(real)), of_all(size, size)
            half = intervals.NORMAL * math.sqrt(whole + max(0.0, part - whole) / self.subsets)
            low, high = mean - half, mean + half
        warnings = []
        if size < self.subset_size:
            warnings.append(f"kid: subsets of {size:,} images, since there are no {self.subset_size:,} of each kind.")
        return Score(
            {
                "kid": Value(mean, low, high, "lower", about=f"{self.subsets} subsets of {size}"),
                "kid_std": Value(deviation, about="deviation over subsets"),
            },
            warnings=warnings,
        )


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """k(x_i, y_j) = (x_i.y_j / D + 1)^3, (N, M)."""
    product = x @ y.T
    return product.div_(x.shape[1]).add_(1).pow_(3)


def mmd(fake: Tensor, real: Tensor) -> Tensor:
    """The unbiased MMD^2 of two sets of features, in their own precision; sums in float64."""
    n, m = len(fake), len(real)
    value = torch.zeros((), dtype=torch.float64, device=fake.device)
    for _, gram in _blocks(fake, real):
        value -= 2 * gram.sum(dtype=torch.float64) / (n * m)
    for features, count in ((fake, n), (real, m)):
        for start, gram in _blocks(features, features):
            off_diagonal = gram.sum(dtype=torch.float64) - gram.diagonal(start).sum(dtype=torch.float64)
            value += off_diagonal / (count * (count - 1))
    return value


def _blocks(x: Tensor, y: Tensor) -> Iterator[tuple[int, Tensor]]:
    """The kernel's matrix some rows at a time, each with its first row."""
    size = max(1, _ELEMENTS // len(y))
    for start in range(0, len(x), size):
        yield start, kernel(x[start : start + size], y)


@dataclass(frozen=True)
class Spread:
    """Parts of the variance of MMD^2, as Hoeffding decomposes a U-statistic.

    With h(x) = E k(x, x') - E k(x, y) for generated images x, h(y) = E k(y, y') - E k(y, x) for real ones, and k~ the
    kernel less its conditional means, for n generated and m real images

    V = 4 Var h(x) / n + 4 Var h(y) / m + 2 E k~(x, x')^2 / n(n - 1) + 2 E k~(y, y')^2 / m(m - 1) + 4 E k~(x, y)^2 / nm

    The first two fall as 1 / n and vanish where both sets have one distribution, which leaves the rest.

    Source: Serfling 1980, section 5.2.1; for MMD^2 Sutherland et al. 2017 (arXiv:1611.04488), appendix A.

    Args:
        linear: Var h of generated and of real images.
        within: E k~^2 of two generated and of two real images.
        between: E k~^2 of a generated and a real one.
    """

    linear: tuple[float, float]
    within: tuple[float, float]
    between: float

    def variance(self, fake: int, real: int) -> float:
        """V for so many images of each kind."""
        single = sum(4 * v / n for v, n in zip(self.linear, (fake, real), strict=True))
        pairs = sum(2 * v / (n * (n - 1)) for v, n in zip(self.within, (fake, real), strict=True))
        return single + pairs + 4 * self.between / (fake * real)

    @classmethod
    def of(cls, fake: Tensor, real: Tensor, seed: int = 0) -> Spread:
        """Estimates from at least four images of each kind, a random choice of at most 1,000."""
        generator = randomness.generator("cpu", seed, "kid", "spread")
        chosen = [x[torch.randperm(len(x), generator=generator)[:_SPREAD].to(x.device)] for x in (fake, real)]
        grams = [kernel(x, x).double().fill_diagonal_(0) for x in chosen]
        across = kernel(*chosen).double()
        n, m = across.shape
        means = across.mean(1), across.mean(0)
        centred = across - means[0][:, None] - means[1] + across.mean()
        between = float(centred.square().sum()) / ((n - 1) * (m - 1))
        linear, within = [], []
        for gram, mean, other in zip(grams, means, (m, n), strict=True):
            count = len(gram)
            sums = gram.sum(1)
            # Szekely & Rizzo 2014: centred so that the mean of squares off the diagonal is unbiased
            rest = gram - (sums[:, None] + sums) / (count - 2) + sums.sum() / ((count - 1) * (count - 2))
            within.append(max(0.0, float(rest.fill_diagonal_(0).square().sum()) / (count * (count - 3))))
            # h from finitely many others carries their scatter
            scatter = within[-1] / (count - 1) + between / other
            linear.append(max(0.0, float((sums / (count - 1) - mean).var()) - scatter))
        return cls((linear[0], linear[1]), (within[0], within[1]), between)


def subset_distances(fake: Tensor, real: Tensor, subsets: int, size: int, seed: int) -> Tensor:
    """(subsets,) MMD^2 of random subsets, drawn without replacement, the generated set first."""
    generator = np.random.RandomState(seed)  # numpy's old generator: the subsets that others draw
    draws = []
    for _ in range(subsets):
        draws.append([torch.from_numpy(generator.choice(len(x), size, replace=False)) for x in (fake, real)])
    if (len(fake) + len(real)) ** 2 > 3 * subsets * size**2:
        return torch.stack([mmd(fake[f.to(fake.device)], real[r.to(real.device)]) for f, r in draws]).cpu()
    # subsets overlap so much that all kernel values once, and sums over pairs by matrix products, are less work
    memberships = []
    for side, features in enumerate((fake, real)):
        member = torch.zeros(subsets, len(features), dtype=torch.float64)
        for row, draw in enumerate(draws):
            member[row, draw[side]] = 1
        memberships.append(member.to(features.device))
    in_fake, in_real = memberships
    total = -2 * _sums(fake, real, in_fake, in_real, False) / size**2
    for features, member in ((fake, in_fake), (real, in_real)):
        total += _sums(features, features, member, member, True) / (size * (size - 1))
    return total.cpu()


def _sums(x: Tensor, y: Tensor, in_x: Tensor, in_y: Tensor, within: bool) -> Tensor:
    """sum over i of subset s of x and j of subset s of y of k(x_i, y_j), i != j if ``within``; (subsets,)."""
    total = torch.zeros(len(in_x), dtype=torch.float64, device=x.device)
    for start, block in _blocks(x, y):
        gram = block.double()
        if within:
            gram[:, start : start + len(gram)].fill_diagonal_(0)
        total += ((in_x[:, start : start + len(gram)] @ gram) * in_y).sum(1)
    return total
