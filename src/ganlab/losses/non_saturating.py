"""The non-saturating loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ganlab.core.softplus import softplus


@dataclass(frozen=True)
class NonSaturating:
    """Non-saturating logistic loss: D classifies, G raises the log-probability that its images are real.

    D: E[softplus(-D(x))] + E[softplus(D(G(z)))]        G: E[softplus(-D(G(z)))]

    softplus(-t) = -log sigmoid(t); value and gradient are exact at any logit.

    Source: Goodfellow et al. 2014 (arXiv:1406.2661), section 3; as written, StyleGAN's (arXiv:1812.04948).

    Attributes:
        divergence: Whose bound D's loss is, see ``f_gan``: there it is less a constant.
    """

    provides = ("f_divergence",)
    divergence = "js"

    def discriminator(self, *, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(-real_logits).mean() + softplus(fake_logits).mean()

    def generator(self, *, real_logits: Tensor | None = None, fake_logits: Tensor) -> Tensor:
        return softplus(-fake_logits).mean()
