"""The relativistic average loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ganlab.core import distributed
from ganlab.core.softplus import softplus


@dataclass(frozen=True)
class RelativisticAverage:
    """Relativistic average logistic loss: each image is judged against the mean of the other kind.

    with r = D(x) - E[D(G(z))] and f = D(G(z)) - E[D(x)]:
    D: E[softplus(-r)] + E[softplus(f)]        G: E[softplus(-f)] + E[softplus(r)]

    The inner means couple the images of a batch. They are taken over all ranks, so N processes train
    what one trains; under accumulation they are those of the micro-batch. Gradients flow through them.

    Source: Jolicoeur-Martineau 2018 (arXiv:1807.00734), section 4.3 (RaSGAN). The author's code
    halves both sums; the paper, and this, does not.
    """

    def discriminator(self, *, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        real, fake = _against_the_other_mean(real_logits, fake_logits)
        return softplus(-real).mean() + softplus(fake).mean()

    def generator(self, *, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        real, fake = _against_the_other_mean(real_logits, fake_logits)
        return softplus(-fake).mean() + softplus(real).mean()


def _against_the_other_mean(real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
    real_mean, fake_mean = distributed.mean(real_logits.mean()), distributed.mean(fake_logits.mean())
    return real_logits - fake_mean, fake_logits - real_mean
