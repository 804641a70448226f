"""The hinge loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from ganlab.core.checks import positive


@dataclass(frozen=True)
class Hinge:
    """Hinge adversarial loss.

    D: E[max(0, m - D(x))] + E[max(0, m + D(G(z)))]        G: -E[D(G(z))]

    Source: Lim & Ye 2017 (arXiv:1705.02894), eq. 3; SAGAN, SNGAN and BigGAN use m = 1.

    Args:
        margin: m above, in logits; positive.

    Raises:
        ValueError: If ``margin`` is not positive and finite.
    """

    margin: float = 1.0

    def __post_init__(self) -> None:
        positive("margin", self.margin)

    def discriminator(self, *, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.relu(self.margin - real_logits).mean() + F.relu(self.margin + fake_logits).mean()

    def generator(self, *, real_logits: Tensor | None = None, fake_logits: Tensor) -> Tensor:
        return -fake_logits.mean()
