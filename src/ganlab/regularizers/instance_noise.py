"""Instance noise."""

from __future__ import annotations

from torch import Tensor

from ganlab.contracts.address import Address
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.view import View
from ganlab.core.checks import at_least_zero


class InstanceNoise(Regularizer):
    """Instance noise: D sees every image, real or fake, as x + std * N(0, 1), in the turns of all players.

    Noise makes the two distributions overlap, so that their divergence is finite and its gradient useful. It is
    meant to fade: reg.instance_noise.std={from:0.1,to:0,end_kimg:1000}. The
    points of gradient penalties pass through it too. It makes no pass.

    Source: Sønderby et al. 2017 (arXiv:1610.04490); Arjovsky & Bottou 2017 (arXiv:1701.04862), section 3.

    Args:
        std: Standard deviation in units of pixels in [-1, 1], at least 0.

    Raises:
        ValueError: If ``std`` is negative or not finite.
    """

    addresses = (Address("discriminator"),)
    needs = ("discriminator",)

    def __init__(self, std: float = 0.1) -> None:
        super().__init__()
        self.std: float | Tensor = at_least_zero("std", std)

    def images(self, images: Tensor, role: str, view: View) -> Tensor:
        if not isinstance(self.std, Tensor) and self.std == 0:
            return images
        return images + self.std * view.draw(f"instance noise on {role}", images.shape).to(images)
