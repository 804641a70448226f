"""IntroVAE: the encoder is the discriminator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.contracts.game import Game
from ganlab.contracts.points import Points
from ganlab.contracts.turn import Objectives, Turn
from ganlab.contracts.view import View
from ganlab.core.checks import at_least_zero
from ganlab.layers import gaussian


class Introspection(nn.Module):
    """An encoder as a discriminator: its logit is -KL(N(mean, variance) || N(0, 1)) in nats."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.num_classes = getattr(encoder, "num_classes", 0)
        self.image_shape = getattr(encoder, "image_shape", None)

    def features(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the code."""
        return self.encoder(x, y)

    def head(self, features: tuple[Tensor, Tensor], y: Tensor | None = None) -> Tensor:
        return -gaussian.divergence(*features)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


class IntroVAE(Game):
    """Introspective variational auto-encoder: the encoder E distinguishes reals from samples of the generator G.

    With KL(x) the divergence of E(x) from N(0, 1), averaged over the batch, x_r = G(z_r) with z_r ~ E(x) a
    reconstruction, x_p = G(z) a sample, and R = E[sum((x_r - x)^2)]:

    E: KL(x) + alpha * sum over s = r, p of max(0, m - KL(sg(x_s))) + beta * R
    G: alpha_G * sum over s = r, p of KL(x_s) + beta * R

    It plays without an adversarial loss. The player ``discriminator`` has the encoder, with logit -KL. E steps
    first and then judges G on the same codes and latents, as in the paper's algorithm 1 and the released code. With
    ``update=simultaneous`` both are evaluated first.
    The hinge is of the mean over all ranks, and under accumulation of that of the micro-batch.

    Source: Huang et al. 2018 (arXiv:1807.06358), eqs. 11 and 12, algorithm 1 (its R has a factor 1/2 [paper]). The
    authors' code (github.com/hhb072/IntroVAE) has alpha_G = 1/2 whatever alpha is, and images in [0, 1], where R is
    a quarter: its weight_rec is a ``beta`` four times as large, and its weight_neg 2 * ``alpha``.

    Args:
        margin: m, in nats, at least 0; the paper's is 110 at 128 pixels. It must be more than the KL of reals.
        alpha: Of the encoder's hinges, at least 0.
        beta: Of the reconstruction, at least 0: in nats for a squared difference of 1.
        generator_alpha: alpha_G, at least 0; null: alpha, as in the paper.
        update: ``alternating``, ``simultaneous``, ``extragradient`` or ``optimistic``.

    Raises:
        ValueError: If an option is out of range.
    """

    provides = ("discriminator", "encoder")
    averaged: ClassVar[tuple[str, ...]] = ("generator", "discriminator")
    companions: ClassVar[Mapping[str, str]] = {"encoder": "sngan"}
    encodes: ClassVar[str | None] = "discriminator.encoder"

    def __init__(
        self,
        *,
        generator: nn.Module,
        encoder: nn.Module,
        margin: float = 40.0,
        alpha: float = 0.25,
        beta: float = 1.0,
        generator_alpha: float | None = None,
        update: str = "alternating",
    ) -> None:
        super().__init__(update)
        weights = {"margin": margin, "alpha": alpha, "beta": beta, "generator_alpha": generator_alpha or 0.0}
        for name, value in weights.items():
            at_least_zero(name, value)
        self.margin, self.alpha, self.beta, self.generator_alpha = margin, alpha, beta, generator_alpha
        self.generator, self.discriminator = generator, Introspection(encoder)
        self.add_modules("discriminator", discriminator=self.discriminator)
        self.add_modules("generator", generator=generator)

    def turns(self) -> Sequence[Turn]:
        return (Turn(("discriminator",), reals="fresh", counts=True), Turn(("generator",)))

    def objective(self, turn: Turn, view: View) -> Objectives:
        objectives: Objectives = {}
        for player in turn.players:
            if player == "discriminator":
                real, codes = view.reals, self._codes(view)
                view.carried.update(z=view.z, codes=codes.detach(), reals=real.images.detach())
                images = view.run("generator", codes, real.labels)
                kl = -view.logits(real).mean()
                hinges = [
                    F.relu(self.margin - view.mean(-view.logits(points).mean()))
                    for points in (Points(images.detach(), real.labels, "reconstruction"), view.fakes(grad=False))
                ]
                objectives[player] = {
                    "kl": kl,
                    "margin": self.alpha * (hinges[0] + hinges[1]),
                    "reconstruction": self.beta * distance(images, real.images),
                }
                view.note(f"{player}/kl_fake", -view.logits(view.fakes(grad=False)).mean())
            elif player == "generator":
                codes = view.carried["codes"] if "codes" in view.carried else self._codes(view).detach()
                reals, labels = view.carried.get("reals", view.reals.images), view.reals.labels
                images = view.run("generator", codes, labels)
                fooled = -view.logits(Points(images, labels, "reconstruction")).mean()
                fooled = fooled - view.logits(view.fakes()).mean()
                alpha = self.alpha if self.generator_alpha is None else self.generator_alpha
                objectives[player] = {
                    "kl": alpha * fooled,
                    "reconstruction": self.beta * distance(images, reals),
                }
        return objectives

    def _codes(self, view: View) -> Tensor:
        """Return codes of reals as they are, of the pass that judges them unless that changes them."""
        real = view.reals
        if view.hooks.images:
            mean, log_variance = view.run("discriminator", real.images, real.labels, method="features", part_of=real)
        else:
            mean, log_variance = view.features(real)
        return gaussian.sample(mean, log_variance, view.draw("codes", mean.shape))


def distance(images: Tensor, others: Tensor) -> Tensor:
    """Squared Euclidean distance of images, the mean over a batch; float32 at least."""
    dtype = torch.promote_types(images.dtype, torch.float32)
    return (images.to(dtype) - others.detach().to(dtype)).square().flatten(1).sum(1).mean()
