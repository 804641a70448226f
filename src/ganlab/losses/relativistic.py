"""The relativistic pairing loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ganlab.core.softplus import softplus


@dataclass(frozen=True)
class Relativistic:
    """Relativistic pairing loss: D decides which image of a pair is the real one. R3GAN's loss.

    D: E[softplus(-(D(x) - D(G(z))))]        G: E[softplus(-(D(G(z)) - D(x)))]

    Reals and fakes are paired by their index in the micro-batch, so a conditional run pairs images of
    different classes unless both get the same labels.

    Source: Jolicoeur-Martineau 2018 (arXiv:1807.00734), section 4.1 (RSGAN); Huang et al. 2024
    (arXiv:2501.05441), eq. 2.
    """

    provides = ("pairing",)

    def discriminator(self, *, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(-_difference(real_logits, fake_logits)).mean()

    def generator(self, *, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return softplus(_difference(real_logits, fake_logits)).mean()


def _difference(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    if real_logits.shape != fake_logits.shape:
        real, fake = tuple(real_logits.shape), tuple(fake_logits.shape)
        raise ValueError(f"expected as many real as fake logits to pair them, got {real} and {fake}")
    return real_logits - fake_logits
