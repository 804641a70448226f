"""The drift penalty."""

from __future__ import annotations

from ganlab.contracts.address import Address
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core.checks import at_least_zero


class Drift(Regularizer):
    """Drift: weight * E[D(x)^2] at real images, which keeps the logits of a Wasserstein critic near 0.

    It shares the main forward pass.

    Source: Karras et al. 2018 (arXiv:1710.10196), appendix A.1: epsilon_drift = 0.001.

    Args:
        weight: At least 0.

    Raises:
        ValueError: If ``weight`` is negative or not finite.
    """

    addresses = (Address("discriminator"),)
    needs = ("discriminator",)

    def __init__(self, weight: float = 1e-3) -> None:
        super().__init__()
        self.weight = at_least_zero("weight", weight)

    def terms(self, player: str, view: View) -> Terms:
        return {"drift": self.weight * view.logits(view.reals).square().mean()}
