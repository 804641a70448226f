"""DRAGAN's gradient penalty around the data."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ganlab.contracts.points import Points
from ganlab.contracts.view import View
from ganlab.core.checks import at_least_zero
from ganlab.core.errors import one_of
from ganlab.regularizers.gradient_norm import power_of_norm
from ganlab.regularizers.input_penalty import InputPenalty

NOISES = ("gaussian", "uniform")


class DRAGAN(InputPenalty):
    """DRAGAN: weight * E[(||dD/du|| - center)^2] at noisy real images u = x + delta.

    gaussian: delta = scale * s * N(0, 1) at each pixel        uniform: delta = scale * s * a * U[0, 1) at each
    pixel, with a ~ U[0, 1) one an image

    s is the standard deviation of all pixels of the batch, over all ranks; under accumulation it is the
    micro-batch's. The fakes play no part. It makes a forward pass of its own.

    Source: Kodali et al. 2017 (arXiv:1705.07215), section 2.4, where delta ~ N(0, c I) with a constant c (here
    (scale * s)^2) [the paper's value of c was not re-checked]; ``uniform``, the numbers and s are those of the
    authors' code (github.com/kodalinaveen3/DRAGAN 29fb907).

    Args:
        weight: At least 0.
        center: The norm that is free of charge, at least 0.
        scale: Size of the noise in units of s, at least 0.
        noise: ``gaussian`` as in the paper, or ``uniform`` as in the authors' code.
        interval_steps: 1: in every turn of the discriminator; k > 1: every k-th iteration, k times as strong.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(
        self,
        weight: float = 10.0,
        center: float = 1.0,
        scale: float = 0.5,
        noise: str = "gaussian",
        interval_steps: int = 1,
    ) -> None:
        super().__init__("dragan", "interpolated", interval_steps)
        one_of(noise, NOISES, "noise")
        self.weight, self.center = at_least_zero("weight", weight), at_least_zero("center", center)
        self.scale, self.noise = at_least_zero("scale", scale), noise

    def penalty(self, squared: Tensor) -> Tensor:
        return self.weight * (power_of_norm(squared, 1) - self.center).square()

    @torch.no_grad()
    def at(self, view: View) -> tuple[Points, ...]:
        x = view.reals.images
        x = x.detach().to(torch.promote_types(x.dtype, torch.float32))
        mean, square = view.mean(torch.stack([x.mean(), x.square().mean()])).unbind()
        size = self.scale * (square - mean.square()).clamp(min=0).sqrt()
        if self.noise == "gaussian":
            noise = view.draw("dragan", x.shape).to(x)
        else:
            share = view.draw("dragan share", (len(x),), "uniform").to(x)
            noise = view.draw("dragan", x.shape, "uniform").to(x) * share.view(-1, *[1] * (x.ndim - 1))
        return (replace(view.reals, images=(x + size * noise).requires_grad_(), role="perturbed"),)
