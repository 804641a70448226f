"""The minimax (saturating) loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ganlab.core.softplus import softplus


@dataclass(frozen=True)
class Minimax:
    """The original zero-sum game; G saturates: its gradient vanishes like sigmoid(D(G(z))) where D is sure.

    D: E[softplus(-D(x))] + E[softplus(D(G(z)))]        G: E[log(1 - sigmoid(D(G(z))))] = -E[softplus(D(G(z)))]

    Source: Goodfellow et al. 2014 (arXiv:1406.2661), eq. 1. D as in ``non_saturating``.

    Attributes:
        saturates: Players whose gradients vanish, by definition, where their opponent is sure.
        divergence: Whose bound D's loss is, see ``f_gan``: there it is less a constant.
    """

    provides = ("f_divergence",)
    divergence = "js"
    saturates: ClassVar[tuple[str, ...]] = ("generator",)

    def discriminator(self, *, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(-real_logits).mean() + softplus(fake_logits).mean()

    def generator(self, *, real_logits: Tensor | None = None, fake_logits: Tensor) -> Tensor:
        return -softplus(fake_logits).mean()
