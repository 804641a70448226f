"""The logistic loss with one-sided label smoothing."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class SmoothedLogistic:
    """Non-saturating logistic loss with one-sided label smoothing: D's targets are 1 - s for real, 0 for fake.

    D: (1 - s) E[softplus(-D(x))] + s E[softplus(D(x))] + E[softplus(D(G(z)))]        G: E[softplus(-D(G(z)))]

    D's best answer on real images that no fake resembles is log((1 - s) / s), not infinity.

    Source: Salimans et al. 2016 (arXiv:1606.03498), section 3.4.

    Args:
        smoothing: s, in [0, 0.5); 0 is ``non_saturating``.

    Raises:
        ValueError: If ``smoothing`` is out of range.
    """

    smoothing: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 0.5:
            raise ValueError(f"smoothing must be in [0, 0.5), got {self.smoothing}")

    def discriminator(self, *, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        right, wrong = F.softplus(-real_logits).mean(), F.softplus(real_logits).mean()
        return (1 - self.smoothing) * right + self.smoothing * wrong + F.softplus(fake_logits).mean()

    def generator(self, *, real_logits: Tensor | None = None, fake_logits: Tensor) -> Tensor:
        return F.softplus(-fake_logits).mean()
