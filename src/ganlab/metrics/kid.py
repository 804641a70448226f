"""Kernel inception distance."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ganlab.errors import GanlabError
from ganlab.metrics import intervals
from ganlab.metrics.contract import Context, Kept, Metric, Role, Score, Summary, Value
from ganlab.metrics.stored import StoredFeatures


class KID(Metric):
    """Squared maximum mean discrepancy of features under the kernel k(x, y) = (x.y / D + 1)^3, unbiased.

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j), with mean
    and population deviation over random subsets of both sets, as published; it may be slightly negative.
    Subsets are drawn as torch-fidelity draws them. The interval is mean -+ 1.96 deviation sqrt(m / n): the
    variance of such a U-statistic falls as 1 / samples, and a subset has m of n.

    Source: Binkowski et al. 2018 (arXiv:1801.01401), section 4; subsets: appendix D.2.

    Args:
        subsets: Number of subsets.
        subset_size: m, or half of the smaller set where that has fewer images.
        limit: Features that are kept of each set; memory is 4 limit D bytes.
        seed: Of the subsets.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, subsets: int = 100, subset_size: int = 1000, limit: int = 50_000, seed: int = 2020) -> None:
        for name, number, least in (("subsets", subsets, 1), ("subset_size", subset_size, 2), ("seed", seed, 0)):
            if number < least:
                raise ValueError(f"{name} must be at least {least}, got {number}")
        if limit < subset_size:
            raise ValueError(f"limit must be at least subset_size={subset_size}, got {limit}")
        self.subsets, self.subset_size, self.limit, self.seed = subsets, subset_size, limit, seed

    def summaries(self, role: Role) -> Mapping[str, Summary]:
        return {"features": StoredFeatures(self.limit)}

    def score(self, kept: Mapping[Role, Kept], context: Context) -> Score:
        fake, real = (kept[role]["features"]["features"] for role in ("fake", "real"))  # type: ignore[index]
        fewest = min(len(fake), len(real))
        if fewest < 2:
            raise GanlabError("kid needs at least two real and two generated images: raise samples.")
        # subsets of all images would all be the same one
        size = self.subset_size if fewest >= self.subset_size else max(2, fewest // 2)
        values = subset_distances(fake, real, self.subsets, size, self.seed)
        mean, deviation = float(values.mean()), float(values.std(unbiased=False))
        half = intervals.NORMAL * deviation * math.sqrt(size / fewest)
        warnings = []
        if size < self.subset_size:
            warnings.append(f"kid: subsets of {size:,} images, since there are no {self.subset_size:,} of each kind.")
        return Score(
            {
                "kid": Value(mean, mean - half, mean + half, "lower", about=f"{self.subsets} subsets of {size}"),
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
    within_fake, within_real, between = kernel(fake, fake), kernel(real, real), kernel(fake, real)
    n, m = between.shape
    value = -2 * between.sum(dtype=torch.float64) / (n * m)
    for gram, count in ((within_fake, n), (within_real, m)):
        off_diagonal = gram.sum(dtype=torch.float64) - gram.diagonal().sum(dtype=torch.float64)
        value = value + off_diagonal / (count * (count - 1))
    return value


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


def _sums(x: Tensor, y: Tensor, in_x: Tensor, in_y: Tensor, within: bool, block: int = 2048) -> Tensor:
    """sum over i of subset s of x and j of subset s of y of k(x_i, y_j), i != j if ``within``; (subsets,)."""
    total = torch.zeros(len(in_x), dtype=torch.float64, device=x.device)
    for start in range(0, len(x), block):
        gram = kernel(x[start : start + block], y).double()
        if within:
            gram[:, start : start + block].fill_diagonal_(0)
        total += ((in_x[:, start : start + block] @ gram) * in_y).sum(1)
    return total
