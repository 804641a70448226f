"""The non-saturating loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class NonSaturating:
    """Non-saturating logistic loss: D classifies, G raises the log-probability that its images are real.

    D: E[softplus(-D(x))] + E[softplus(D(G(z)))]        G: E[softplus(-D(G(z)))]

    softplus(-t) = -log sigmoid(t) is computed as such, so that value and gradient are exact at any
    logit, in double precision too (``F.softplus`` is cut at 20).

    Source: Goodfellow et al. 2014 (arXiv:1406.2661), section 3; as written, StyleGAN's (arXiv:1812.04948).
    """

    def discriminator(self, *, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return -F.logsigmoid(real_logits).mean() - F.logsigmoid(-fake_logits).mean()

    def generator(self, *, real_logits: Tensor | None = None, fake_logits: Tensor) -> Tensor:
        return -F.logsigmoid(fake_logits).mean()
