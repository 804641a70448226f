"""f-GAN: losses from the variational bounds of f-divergences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ganlab.core.errors import one_of
from ganlab.core.softplus import softplus


@dataclass(frozen=True)
class Divergence:
    """The bound of one f-divergence, as functions of the logit v, each exact at any v.

    Args:
        activation: g(v), the output activation, which maps v into the domain of f*; rises with v.
        conjugate: f*(g(v)), simplified.
        saturates: Who gets no gradient where the opponent is sure.
        inverse_saturates: The same for the generator that maximises E[g(v)].
    """

    activation: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]
    saturates: tuple[str, ...] = ()
    inverse_saturates: tuple[str, ...] = ()


def half_tanh(v: Tensor) -> Tensor:
    """1/2 tanh(v), whose slope does not round to 0 where tanh rounds to 1."""
    return torch.where(v > 0, 0.5 - torch.sigmoid(-2 * v), torch.sigmoid(2 * v) - 0.5)


DIVERGENCES = {
    "kl": Divergence(lambda v: v, lambda v: torch.exp(v - 1), ("generator",)),
    "reverse_kl": Divergence(lambda v: -torch.exp(-v), lambda v: v - 1),
    "js": Divergence(lambda v: math.log(2) - softplus(-v), lambda v: softplus(v) - math.log(2), ("generator",)),
    "pearson": Divergence(lambda v: v, lambda v: v.square() / 4 + v, ("generator",)),
    # not expm1, whose slope torch takes from its value and so rounds to 0 far out
    "hellinger": Divergence(lambda v: 1 - torch.exp(-v), lambda v: torch.exp(v) - 1, ("generator",)),
    "total_variation": Divergence(half_tanh, half_tanh, ("discriminator", "generator"), ("discriminator", "generator")),
}


@dataclass(frozen=True)
class FGAN:
    """f-GAN: D makes the variational bound of an f-divergence tight, and G lowers it. With v the logit

    D: E[f*(g(v(G(z))))] - E[g(v(x))]        G: -E[f*(g(v(G(z))))], or -E[g(v(G(z)))] with ``non_saturating``

    ``divergence``, of the data from the model: its f, the activation g and the conjugate f*:

        kl               u log u                              v                        exp(t - 1)
        reverse_kl       -log u                               -exp(-v)                 -1 - log(-t)
        js               u log u - (u + 1) log((u + 1) / 2)   log 2 - softplus(-v)     -log(2 - exp t)
        pearson          (u - 1)^2                            v                        t^2 / 4 + t
        hellinger        (sqrt u - 1)^2                       1 - exp(-v)              t / (1 - t)
        total_variation  |u - 1| / 2                          tanh(v) / 2              t

    The best D gives -divergence, with g(v) = f'(data density / model density). f*(g(v)) is written without its
    logarithms, so that values and slopes are exact wherever they are numbers: kl, reverse_kl and hellinger
    grow like e^|v| and leave float32 at |v| = 88. js is ``minimax`` less 2 log 2, and its
    divergence is twice that of Jensen and Shannon. The gradient of ``total_variation`` vanishes where |v| is
    large, and G's own of ``pearson`` turns round below v = -2: the conjugate in the table is that of f on all u.

    Source: Nowozin et al. 2016 (arXiv:1606.00709), eqs. 4 to 7, algorithm 1 and tab. 2, with the signs in
    the exponents that make g rise with v, as section 2.4 wants; ``non_saturating`` is its section 3.2.

    Args:
        divergence: ``kl``, ``reverse_kl``, ``js``, ``pearson``, ``hellinger`` or ``total_variation``.
        non_saturating: Whether G raises E[g(v)] and does not lower the bound itself.

    Raises:
        ValueError: If there is no such divergence.
    """

    provides = ("f_divergence",)

    divergence: str = "js"
    non_saturating: bool = False

    def __post_init__(self) -> None:
        one_of(self.divergence, DIVERGENCES, "divergence")

    @property
    def saturates(self) -> tuple[str, ...]:
        """Players whose gradients vanish, by definition, where their opponent is sure."""
        chosen = DIVERGENCES[self.divergence]
        return chosen.inverse_saturates if self.non_saturating else chosen.saturates

    def discriminator(self, *, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        chosen = DIVERGENCES[self.divergence]
        return chosen.conjugate(fake_logits).mean() - chosen.activation(real_logits).mean()

    def generator(self, *, real_logits: Tensor | None = None, fake_logits: Tensor) -> Tensor:
        chosen = DIVERGENCES[self.divergence]
        return -(chosen.activation if self.non_saturating else chosen.conjugate)(fake_logits).mean()
