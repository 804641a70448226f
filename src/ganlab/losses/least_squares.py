"""The least-squares loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ganlab.core.checks import checked
from ganlab.core.ranges import Range


@dataclass(frozen=True)
class LeastSquares:
    """Least-squares adversarial loss.

    D: 1/2 E[(D(x) - b)^2] + 1/2 E[(D(G(z)) - a)^2]        G: 1/2 E[(D(G(z)) - c)^2]

    Source: Mao et al. 2017 (arXiv:1611.04076), eq. 2. The default is its eq. 9 (a, b, c) = (0, 1, 1);
    eq. 8, (-1, 1, 0), makes G minimise the Pearson chi^2 divergence (b - c = 1 and b - a = 2).

    Args:
        fake_target: a above, what D wants of fakes, in logits; below ``real_target``.
        real_target: b above, what D wants of reals, in logits.
        generator_target: c above, what G wants of fakes, in logits; above ``fake_target``.

    Raises:
        ValueError: If a target is not finite, or their order leaves D or G nothing to want.
    """

    fake_target: float = 0.0
    real_target: float = 1.0
    generator_target: float = 1.0

    def __post_init__(self) -> None:
        for name in ("fake_target", "real_target", "generator_target"):
            checked(name, getattr(self, name), Range(above=-math.inf, below=math.inf))
        for name in ("real_target", "generator_target"):
            if getattr(self, name) <= self.fake_target:
                raise ValueError(f"{name} must be above fake_target={self.fake_target}, got {getattr(self, name)}")

    def discriminator(self, *, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        real, fake = real_logits - self.real_target, fake_logits - self.fake_target
        return (real.square().mean() + fake.square().mean()) / 2

    def generator(self, *, real_logits: Tensor | None = None, fake_logits: Tensor) -> Tensor:
        return (fake_logits - self.generator_target).square().mean() / 2
