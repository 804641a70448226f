"""The margin loss of energy-based GANs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from ganlab.core.checks import positive


@dataclass(frozen=True)
class EnergyMargin:
    """Margin loss on energies, which are at least 0 and low for real: E(x) = -D(x).

    D: E[E(x)] + E[max(0, m - E(G(z)))]        G: E[E(G(z))]

    Where D can raise a fake's energy above m it stops, so that E[E(x)] does not fall without bound;
    that needs an energy which is bounded below, such as the reconstruction error of an auto-encoder.

    Source: Zhao et al. 2017 (arXiv:1609.03126), eqs. 1 and 2; m depends on the data and on how the
    energy is scaled [the paper's values were not re-checked].

    Args:
        margin: m above, in units of the energy; positive.

    Raises:
        ValueError: If ``margin`` is not positive and finite.
    """

    needs = ("energy",)

    margin: float = 1.0

    def __post_init__(self) -> None:
        positive("margin", self.margin)

    def discriminator(self, *, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return F.relu(self.margin + fake_logits).mean() - real_logits.mean()

    def generator(self, *, real_logits: Tensor | None = None, fake_logits: Tensor) -> Tensor:
        return -fake_logits.mean()
