"""The Wasserstein divergence's penalty."""

from __future__ import annotations

import math

from torch import Tensor

from ganlab.core.checks import at_least_zero, checked
from ganlab.core.ranges import Range
from ganlab.regularizers.gradient_norm import power_of_norm
from ganlab.regularizers.input_penalty import InputPenalty


class WGANDiv(InputPenalty):
    """Wasserstein divergence: k * E||dD/du||^p, to go with the Wasserstein loss.

    Source: Wu et al. 2018 (arXiv:1712.01026), eq. 9, with k = 2 and p = 6. Its algorithm 1 and the
    authors' code take interpolates for u (the code has k = 10, and a critic of the opposite sign). A
    common port takes the mean of both kinds of images instead, k/2 * E[||dD/dx||^p + ||dD/dG(z)||^p]:
    ``real_and_fake``. With p = 2 at reals this is ``r1`` with gamma = 2k.

    At interpolates it makes a forward pass of its own; at reals and fakes it shares the main one, in float32,
    eagerly and in every turn of the discriminator.

    Args:
        k: Factor, at least 0.
        p: Power of the norm, above 1.
        points: ``interpolated``, ``real_and_fake``, ``real`` or ``fake``.
        interval_steps: 1: in every turn of the discriminator; n > 1: every n-th iteration, n times as strong.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(self, k: float = 2.0, p: float = 6.0, points: str = "interpolated", interval_steps: int = 1) -> None:
        super().__init__("wgan_div", points, interval_steps)
        self.k, self.p = at_least_zero("k", k), float(checked("p", p, Range(above=1, below=math.inf)))

    def penalty(self, squared: Tensor) -> Tensor:
        return self.k * power_of_norm(squared, self.p)
