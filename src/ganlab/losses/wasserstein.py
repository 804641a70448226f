"""The Wasserstein loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Wasserstein:
    """The critic's estimate of the Wasserstein-1 distance, up to its Lipschitz constant.

    D: E[D(G(z))] - E[D(x)]        G: -E[D(G(z))]

    Something has to hold the critic's slope: a gradient penalty, spectral normalization, clipping.

    Source: Arjovsky et al. 2017 (arXiv:1701.07875), eq. 3; as written, arXiv:1704.00028, eq. 2.
    """

    def discriminator(self, *, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return fake_logits.mean() - real_logits.mean()

    def generator(self, *, real_logits: Tensor | None = None, fake_logits: Tensor) -> Tensor:
        return -fake_logits.mean()
