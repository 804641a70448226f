"""Logit centering."""

from __future__ import annotations

from ganlab.contracts.address import Address
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core.checks import at_least_zero


class Centering(Regularizer):
    """Logit centering: weight * E[(D(x) + D(G(z)))^2], which keeps the logits of a relativistic loss from drifting.

    A relativistic loss sees differences of logits only, so that nothing holds their mean. Reals and fakes are paired by
    their index in the micro-batch. It shares the main forward pass.

    Source: Lin et al. 2025, Adversarial Flow Models (arXiv:2511.22475), and its code
    (github.com/ByteDance-Seed/Adversarial-Flow-Models dc11741), whose ``cp_scale`` is the weight.

    Args:
        weight: At least 0.

    Raises:
        ValueError: If ``weight`` is negative or not finite.
    """

    addresses = (Address("discriminator"),)
    needs = ("adversarial",)

    def __init__(self, weight: float = 0.01) -> None:
        super().__init__()
        self.weight = at_least_zero("weight", weight)

    def terms(self, player: str, view: View) -> Terms:
        return {"centering": self.weight * (view.logits(view.reals) + view.logits(view.fakes())).square().mean()}
