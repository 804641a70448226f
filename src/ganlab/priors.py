"""Priors: what latents are drawn from. A prior is called as ``prior(draw, batch, dim) -> (batch, dim)``.

``draw(purpose, shape, distribution)`` gives keyed float32 numbers of N(0, 1) or U[0, 1), such as
`ganlab.contracts.view.View.draw`; ``shape[0]`` is the batch on this rank.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ganlab.core.checks import positive
from ganlab.core.errors import GanlabError
from ganlab.core.randomness import Distribution

Draw = Callable[[str, Sequence[int], Distribution], Tensor]
Prior = Callable[[Draw, int, int], Tensor]

PURPOSE = "latents"


@dataclass(frozen=True)
class Normal:
    """z ~ N(0, scale^2), independently in each dimension.

    Args:
        scale: Standard deviation; positive.

    Raises:
        ValueError: If ``scale`` is not positive and finite.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        positive("scale", self.scale)

    def __call__(self, draw: Draw, batch: int, dim: int) -> Tensor:
        return self.scale * draw(PURPOSE, (batch, dim), "normal")

    def truncated(self, threshold: float) -> Truncated:
        positive("threshold", threshold)
        return Truncated(threshold / self.scale, self.scale)


@dataclass(frozen=True)
class Uniform:
    """z ~ U[low, high), independently in each dimension.

    Args:
        low: Lower end.
        high: Upper end, above ``low``.

    Raises:
        ValueError: If an end is not finite or ``high`` is not above ``low``.
    """

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"high must be above low, and both finite, got low={self.low} and high={self.high}")

    def __call__(self, draw: Draw, batch: int, dim: int) -> Tensor:
        return self.low + (self.high - self.low) * draw(PURPOSE, (batch, dim), "uniform")

    def truncated(self, threshold: float) -> Uniform:
        positive("threshold", threshold)
        return Uniform(max(self.low, -threshold), min(self.high, threshold))


@dataclass(frozen=True)
class Truncated:
    """z = scale * t, t ~ N(0, 1) given |t| <= threshold, independently in each dimension.

    The distribution of drawing again whatever exceeds the threshold (BigGAN, arXiv:1809.11096,
    section 3.1), never of clamping; made from one uniform number by the inverse of its distribution
    function, t = sqrt(2) erfinv((2u - 1) erf(threshold / sqrt(2))), so every draw costs the same.
    Variance of t: 1 - 2 h phi(h) / (2 Phi(h) - 1) with h = threshold, .0806 at .5, .2911 at 1, .7737 at 2.

    Args:
        threshold: In standard deviations; positive.
        scale: Factor on the truncated number; positive. TF-Hub's BigGAN samples with threshold 2 and
            the truncation as the scale.

    Raises:
        ValueError: If a number is not positive and finite.
    """

    threshold: float = 2.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        positive("threshold", self.threshold)
        positive("scale", self.scale)

    def __call__(self, draw: Draw, batch: int, dim: int) -> Tensor:
        uniform = draw(PURPOSE, (batch, dim), "uniform")
        # A float32 U[0, 1) is a multiple of 2^-24: the half step makes it symmetric, and keeps erfinv
        # finite at any threshold. In float32 erf would be 1 from a threshold of 5.5 on.
        centred = 2 * uniform.double() + (2.0**-24 - 1)
        t = math.sqrt(2) * torch.erfinv(centred * math.erf(self.threshold / math.sqrt(2)))
        return (self.scale * t).to(uniform.dtype)

    def truncated(self, threshold: float) -> Truncated:
        positive("threshold", threshold)
        return replace(self, threshold=min(threshold / self.scale, self.threshold))


def truncate(prior: Any, threshold: float) -> Prior:
    """The prior given that no |z_i| exceeds ``threshold``, as if those were drawn again: truncation when sampling.

    Args:
        prior: A prior with a method ``truncated(threshold)``, as all of ganlab's have.
        threshold: The largest |z_i|, positive.

    Raises:
        GanlabError: If the prior cannot be truncated, or not there.
    """
    if not hasattr(prior, "truncated"):
        name = type(prior).__name__
        raise GanlabError(f"The prior {name} cannot be truncated: it has no method truncated(threshold).")
    try:
        return prior.truncated(threshold)
    except ValueError as error:
        raise GanlabError(f"The prior {prior} cannot be truncated at {threshold}: {error}.") from error
