"""The gradient penalty of WGAN-GP, and its kin."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

from ganlab.core.checks import at_least_zero
from ganlab.core.schedules import present
from ganlab.regularizers.finite_difference import Slopes
from ganlab.regularizers.gradient_norm import power_of_norm
from ganlab.regularizers.input_penalty import InputPenalty


class GradientPenalty(InputPenalty):
    """Gradient penalty: weight * E[(||dD/du|| - center)^2], or one-sided, weight * E[max(0, ||dD/du|| - center)^2].

    The points u are interpolates a·x + (1 - a)·G(z), a ~ U[0, 1) one an image, with the labels of x;
    the norm is that of the whole image. Where dD/du = 0 the gradient of the norm is taken as 0.

    Source: Gulrajani et al. 2017 (arXiv:1704.00028), eq. 3; one-sided: its section 4 and Petzka et al.
    2018 (arXiv:1709.08894), eq. 8; center 0 at interpolates: Thanh-Tung et al. 2019 (arXiv:1902.03984).
    ``center=0`` at reals with weight gamma/2 is ``r1``.

    At interpolates it makes a forward pass of its own; at reals and fakes it shares the main one, in float32,
    eagerly and in every turn of the discriminator.

    Args:
        weight: At least 0.
        center: The norm that is free of charge, at least 0; the paper's is 1.
        points: ``interpolated``, ``real``, ``fake`` or ``real_and_fake`` (the mean of both).
        one_sided: Penalise norms above ``center`` only.
        interval_steps: 1: in every turn of the discriminator; k > 1: every k-th iteration, k times as strong.
        estimator: ``exact``, or ``finite_difference``: with d = |D(u + eps n) - D(u)| / eps, n ~ N(0, I), the cost is
            d^2 - 2 center sqrt(pi/2) d + center^2, with expectation (||dD/du|| - center)^2 for a linear D; it may be
            negative. Two forward passes over a share of the batch, and no second derivatives, see ``r1``.
        eps: Step of the finite difference, positive.
        share: Share of the batch that it is taken on, 1/k for a whole k.

    Raises:
        ValueError: If an option is out of range, or ``one_sided`` is set with finite differences.
    """

    def __init__(
        self,
        weight: float = 10.0,
        center: float = 1.0,
        points: str = "interpolated",
        one_sided: bool = False,
        interval_steps: int = 1,
        estimator: str = "exact",
        eps: float = 0.01,
        share: float = 0.25,
    ) -> None:
        super().__init__("gradient_penalty", points, interval_steps, Slopes(estimator, eps, share))
        if one_sided and not self.slopes.exact:
            raise ValueError("one_sided must be false with estimator=finite_difference, which sees no single norm")
        self.weight = at_least_zero("weight", weight)
        self.center = at_least_zero("center", center)
        self.one_sided = one_sided

    def penalty_of_difference(self, difference: Tensor) -> Tensor:
        # E|g·n| = sqrt(2/pi) ||g||
        norm = math.sqrt(math.pi / 2) * difference.abs()
        return self.weight * (difference.square() - 2 * self.center * norm + self.center**2)

    def penalty(self, squared: Tensor) -> Tensor:
        if not present(self.center):  # no root: differentiable everywhere
            return self.weight * squared
        excess = power_of_norm(squared, 1) - self.center
        return self.weight * (F.relu(excess) if self.one_sided else excess).square()
