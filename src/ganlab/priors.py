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

from ganlab.core.checks import at_least, positive
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


@dataclass(frozen=True)
class Mixture:
    """A mixture of K normal distributions of equal weights, whose means a generator learns.

    z = [sqrt(K) e_k, std * epsilon]        k ~ U{1, ..., K}, epsilon ~ N(0, I)

    e_k is the k-th unit vector; it fills the first K numbers of z, and epsilon the others. A layer with the weights
    [V, W] makes sqrt(K) v_k + std * W epsilon of it: normal distributions around the columns of V. So samples may lie
    in places that nothing connects, while a continuous function of one normal distribution bridges them.

    Source: DeLiGAN, Gurumurthy et al. 2017 (arXiv:1706.02071), where z = mu_k + sigma_k epsilon with learned mu_k and
    sigma_k; here all components share W. As an input it is InfoGAN's categorical code beside noise (Chen et al. 2016,
    arXiv:1606.03657), without the term for its information. The factor sqrt(K) is ours: each number of the code has the
    second moment 1, as one of N(0, 1) has.

    Args:
        components: K, at least 1 and below ``generator.latent_dim``; null: half of it, rounded down.
        std: Standard deviation of epsilon's numbers; positive. Small beside 1, a component begins as one place.

    Raises:
        ValueError: If a number is out of range.
        GanlabError: When called, if no number of z is left for epsilon.
    """

    components: int | None = None
    std: float = 0.1

    def __post_init__(self) -> None:
        if self.components is not None:
            at_least("components", self.components, 1)
        positive("std", self.std)

    def __call__(self, draw: Draw, batch: int, dim: int) -> Tensor:
        count = dim // 2 if self.components is None else self.components
        if count >= dim:
            raise GanlabError(
                f"prior=mixture needs more latents than components, and generator.latent_dim is {dim} with "
                f"prior.components={count}: set generator.latent_dim={count + 16}, say."
            )
        noise = self.std * draw(PURPOSE, (batch, dim - count), "normal")
        # A float32 U[0, 1) is at most 1 - 2^-24, and its product with K rounds to a number below K: the largest one is
        # at most 2^-23 K away from K, and the exact product at least half of that.
        component = (count * draw("component", (batch, 1), "uniform")).long()  # (B, 1)
        code = noise.new_zeros(batch, count)
        return torch.cat([code.scatter_(1, component, math.sqrt(count)) if count else code, noise], 1)


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
