"""Logit squeezing."""

from __future__ import annotations

import math

import torch

from ganlab import Address, Regularizer, Terms, View


class LogitSqueezing(Regularizer):
    """Logit squeezing: weight * (E[D(x)^2] + E[D(G(z))^2]) / 2 keeps the discriminator from being too sure.

    Source: Kannan et al. 2018 (arXiv:1803.06373), "clean logit squeezing", there for classifiers; on
    real images alone it is ganlab's ``drift``.

    Args:
        weight: At least 0.

    Raises:
        ValueError: If ``weight`` is negative or not finite.
    """

    addresses = (Address("discriminator"),)

    def __init__(self, weight: float = 0.01) -> None:
        super().__init__()
        if not 0 <= weight < math.inf:
            raise ValueError(f"weight must be finite and at least 0, got {weight}")
        self.weight = float(weight)

    def terms(self, player: str, view: View) -> Terms:
        logits = (view.logits(view.reals), view.logits(view.fakes()))  # the loss has asked for them: no second pass
        squares = torch.stack([scores.square().mean() for scores in logits])
        return {"logit_squeezing": self.weight * squares.mean()}
