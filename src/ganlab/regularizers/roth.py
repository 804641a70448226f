"""The regularizer of f-divergence GANs by Roth et al."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ganlab.contracts.game import Game
from ganlab.contracts.points import Points
from ganlab.contracts.view import View
from ganlab.core.checks import at_least_zero
from ganlab.core.errors import GanlabError, one_of
from ganlab.regularizers.input_penalty import InputPenalty

# f*''(g(v)) g'(v)^2 as a function of the logit v; js has weights of its own at reals and at fakes
WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {
    "js": lambda v: torch.sigmoid(v).square(),
    "kl": lambda v: torch.exp(v - 1),
    "reverse_kl": torch.ones_like,
    "pearson": lambda v: torch.full_like(v, 0.5),
    "hellinger": lambda v: 2 * torch.exp(v),
}


class Roth(InputPenalty):
    """Roth's regularizer: the term that noise on the images would add to the bound of an f-divergence, without noise.

    js: gamma/2 * (E[(1 - s(D(x)))^2 ||dD/dx||^2] + E[s(D(G(z)))^2 ||dD/dG(z)||^2]),  s the sigmoid
    any other: gamma/2 * E[f*''(t) ||dt/dG(z)||^2],  t = g(D(G(z))) with f* and g as in ``f_gan``

    In terms of the logit v = D(G(z)) the latter is gamma/2 * E[w(v) ||dv/dG(z)||^2] with w(v) = exp(v - 1) for
    kl, 1 for reverse_kl, 1/2 for pearson and 2 exp(v) for hellinger. (For js w would be s(v): at the best D its
    expectation over fakes is that of the two terms above, which is how the paper writes it.) For
    total_variation f* is linear and there is nothing to penalise. D's gradient goes through the weights too.

    gamma is the variance of the noise that it replaces; the paper's annealing is a schedule:
    reg.roth.gamma={from:0.1,to:0.001,end_steps:STEPS,shape:exponential}. In every turn of the discriminator
    it shares the main forward pass, in float32 and eagerly; in turns of its own it makes two passes.

    Source: Roth et al. 2017 (arXiv:1705.09367), section 2 and algorithm 1; gamma and the js form as in the
    authors' code (github.com/rothk/Stabilizing_GANs 023b84d).

    Args:
        gamma: Strength in the gamma/2 convention, at least 0.
        divergence: Of which the loss is the bound: ``js``, ``kl``, ``reverse_kl``, ``pearson`` or ``hellinger``;
            None for the loss's own.
        interval_steps: 1: in every turn of the discriminator; k > 1: every k-th iteration, k times as strong.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(self, gamma: float = 0.1, divergence: str | None = None, interval_steps: int = 1) -> None:
        super().__init__("roth", "fake", interval_steps)
        self.gamma = at_least_zero("gamma", gamma)
        if divergence is not None:
            one_of(divergence, WEIGHTS, "divergence")
        self.divergence = divergence
        self.needs = ("discriminator",) if divergence else ("discriminator", "f_divergence")

    def attach(self, game: Game) -> None:
        own = getattr(getattr(game, "loss", None), "divergence", None)
        if self.divergence is None and own is None:
            raise GanlabError(
                "reg=roth regularizes the bound of an f-divergence, and the loss names none: take loss=non_saturating, "
                "minimax or f_gan, or say which one as reg.roth.divergence=js."
            )
        if own is not None and self.divergence not in (None, own):
            raise GanlabError(
                f"reg.roth.divergence={self.divergence}, but the loss is the bound of {own}: leave it out."
            )
        if own is not None and own not in WEIGHTS:
            raise GanlabError(
                f"reg=roth has no effect on {own}, whose conjugate is linear: choose one of {', '.join(WEIGHTS)}."
            )
        self.divergence = own or self.divergence
        self.points = "real_and_fake" if self.divergence == "js" else "fake"
        if not self.lazy:
            self.input_gradients = tuple(self.points.split("_and_"))
        super().attach(game)

    def penalty(self, squared: Tensor) -> Tensor:
        # js is a sum of two kinds of points, of which the term takes the mean
        return (self.gamma if self.divergence == "js" else self.gamma / 2) * squared

    def factor(self, points: Points, view: View) -> Tensor:
        v = view.game.per_image(view.logits(points))
        return WEIGHTS[str(self.divergence)](-v if points.role == "real" else v)
