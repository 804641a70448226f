"""Bidirectional GAN: an encoder plays with the generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.contracts.points import Points
from ganlab.contracts.view import View
from ganlab.core.checks import at_least
from ganlab.games.standard import Standard
from ganlab.layers import gaussian

SWAPPED = {"real": "fake", "fake": "real"}


class Pairs(nn.Module):
    """A judge of pairs (x, z), made of any discriminator with ``features`` and ``head``.

    f' = f + W3 lrelu(W2 lrelu(W1 f + V z)), at each position of the map f = features(x, y); then head(f', y).

    Args:
        discriminator: The judge of images. Its ``feature_channels`` must be known.
        latent_dim: Length of z.
        width: Hidden units, at each position.

    Raises:
        ValueError: If it does not say how many channels its features have.
    """

    def __init__(self, discriminator: Any, latent_dim: int, width: int) -> None:
        super().__init__()
        channels = getattr(discriminator, "feature_channels", None)
        if channels is None:
            name = type(discriminator).__name__
            raise ValueError(f"{name} must say how many channels its features have: give it feature_channels")
        self.discriminator = discriminator
        self.num_classes, self.feature_channels = getattr(discriminator, "num_classes", 0), channels
        self.image_shape = getattr(discriminator, "image_shape", None)
        self.image, self.code = nn.Linear(channels, width), nn.Linear(latent_dim, width)
        self.both, self.back = nn.Linear(width, width), nn.Linear(width, channels)

    def features(self, x: Tensor, y: Tensor | None, codes: Tensor) -> Tensor:
        f = self.discriminator.features(x, y).movedim(1, -1)  # (B, ..., channels)
        code = self.code(codes).view(len(codes), *[1] * (f.ndim - 2), -1)  # (B, 1, ..., width)
        h = F.leaky_relu(self.image(f) + code, 0.2)
        return (f + self.back(F.leaky_relu(self.both(h), 0.2))).movedim(-1, 1)  # (B, channels, ...)

    def head(self, features: Tensor, y: Tensor | None = None, codes: Tensor | None = None) -> Tensor:
        return self.discriminator.head(features, y)

    def forward(self, x: Tensor, y: Tensor | None, codes: Tensor) -> Tensor:
        return self.head(self.features(x, y, codes), y)


class BiGAN(Standard):
    """Bidirectional GAN: D distinguishes pairs (x, E(x)) of reals from pairs (G(z), z), so that E inverts G.

    D: loss.discriminator(D(x, E(x)), D(G(z), z))        G and E: the same with real and fake swapped

    With ``non_saturating`` the swapped objective is the one that the papers train G and E with,
    E[softplus(D(x, E(x)))] + E[softplus(-D(G(z), z))]; with ``wasserstein`` it is minus D's. G and E are
    one player, ``generator``, with one optimizer. D is made of any discriminator with ``features`` and
    ``head``: at each position of its last map a perceptron sees map and code. Gradient penalties take the
    gradient by the image; at interpolates the codes are interpolated alike.

    Source: Donahue et al. 2017 (arXiv:1605.09782), eq. 3 and sec. 3.6 [paper]; with ``stochastic`` the E(x) are
    samples, as in Dumoulin et al. 2017 (arXiv:1606.00704), eq. 2 and algorithm 1.

    Args:
        stochastic: Whether codes of reals are samples of N(mean, variance), or the mean.
        width: Hidden units of the perceptron that judges pairs, at least 1.
        discriminator_steps: Turns of the discriminator in an iteration, 1 to 10,000.
        fresh_reals: Whether G and E get new reals in their turn, or those of the discriminator's last turn.
        update: ``alternating``, ``simultaneous``, ``extragradient`` or ``optimistic``.

    Raises:
        ValueError: If an option is out of range.
    """

    provides = ("adversarial", "discriminator", "encoder")
    needs = ("features",)
    refuses: Mapping[str, str] = {"selection": "the encoder learns from every real, and some would be left out"}
    averaged: ClassVar[tuple[str, ...]] = ("generator", "encoder")
    companions: ClassVar[Mapping[str, str]] = {"encoder": "sngan"}
    encodes: ClassVar[str | None] = "encoder"

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        encoder: nn.Module,
        loss: Any,
        stochastic: bool = False,
        width: int = 256,
        discriminator_steps: int = 1,
        fresh_reals: bool = False,
        update: str = "alternating",
    ) -> None:
        at_least("width", width, 1)
        super().__init__(
            generator=generator,
            discriminator=Pairs(discriminator, cast(Any, generator).latent_dim, width),
            loss=loss,
            discriminator_steps=discriminator_steps,
            fresh_reals=fresh_reals,
            update=update,
        )
        self.encoder, self.stochastic = encoder, stochastic
        self.add_modules("generator", encoder=encoder)

    def objectives(self, loss: Any) -> dict[str, Callable[..., Tensor]]:
        return {"discriminator": loss.discriminator, "generator": swapped(loss.discriminator)}

    def complete(self, points: Points, view: View) -> Points:
        if points.role == "fake":
            return replace(points, codes=view.z)
        images = points.images.detach()
        with torch.set_grad_enabled(torch.is_grad_enabled() and view.differentiates("generator")):
            mean, log_variance = view.run("encoder", images, points.labels)
            noise = view.draw("codes", mean.shape) if self.stochastic else None
            codes = mean if noise is None else gaussian.sample(mean, log_variance, noise)
        return replace(points, codes=codes)


def swapped(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return the function with real and fake exchanged in the names of its arguments."""

    @wraps(function)  # keeps the signature that says what it needs: both kinds of everything
    def call(**arguments: Tensor) -> Tensor:
        return function(**{SWAPPED[name[:4]] + name[4:]: value for name, value in arguments.items()})

    return call
