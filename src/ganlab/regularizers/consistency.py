"""Consistency regularization: CR, bCR and zCR."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.points import Points
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core.checks import at_least_zero, positive
from ganlab.core.errors import GanlabError
from ganlab.core.schedules import present
from ganlab.layers.shift import shifted

SHIFT = 1 / 8  # largest translation, as a share of the side


class Consistency(Regularizer):
    """Consistency regularization: the discriminator gives the same answer for an image and for changes of no meaning.

    D: real * E[(D(x) - D(T(x)))^2] + fake * E[(D(G(z)) - D(T(G(z))))^2] + latent * E[(D(G(z)) - D(G(z + d)))^2]
    G: -diversity * E||G(z) - G(z + d)||^2

    T mirrors an image left to right with probability 1/2 and shifts it by up to 1/8 of each side in whole
    pixels, mirroring at the borders; d ~ N(0, latent_std^2). Gradients go through both logits. The images of T are
    extra passes of the discriminator, those at x and G(z) are shared with the loss. CR is ``real`` alone (the default),
    bCR has ``real`` and ``fake`` 10 each, zCR ``latent`` and ``diversity``, and ICR all four.

    Source: CR: Zhang et al. 2020 (arXiv:1910.12027), eq. 3 with lambda 10 on the logit; bCR, zCR, ICR: Zhao et al. 2021
    (arXiv:2002.04724), algorithms 1 to 3. No code of the authors could be checked: the border of T, and the squared
    norm of ``diversity``, which common ports divide by the numbers of an image (``per_pixel``), are unconfirmed.

    Args:
        real: Weight at real images, at least 0.
        fake: Weight at fakes, at least 0.
        latent: Weight of the discriminator's term for latents, at least 0; the paper has 5 for CIFAR-10.
        diversity: Weight of the generator's term, at least 0; the paper has 0.5 for CIFAR-10.
        latent_std: Standard deviation of d, positive.
        per_pixel: The squared norm of ``diversity`` is the mean over an image's numbers instead of the sum.

    Raises:
        ValueError: If an option is out of range, or all weights are 0.
    """

    addresses = (Address("discriminator"), Address("generator"))
    needs: tuple[str, ...] = ("discriminator",)

    def __init__(
        self,
        real: float = 10.0,
        fake: float = 0.0,
        latent: float = 0.0,
        diversity: float = 0.0,
        latent_std: float = 0.05,
        per_pixel: bool = False,
    ) -> None:
        super().__init__()
        self.real, self.fake = at_least_zero("real", real), at_least_zero("fake", fake)
        self.latent, self.diversity = at_least_zero("latent", latent), at_least_zero("diversity", diversity)
        if not any((real, fake, latent, diversity)):
            raise ValueError("one of real, fake, latent and diversity must be above 0")
        if self.latent or self.diversity:
            self.needs = ("discriminator", "generator")
        self.latent_std, self.per_pixel = positive("latent_std", latent_std), per_pixel

    def attach(self, game: Game) -> None:
        super().attach(game)
        self.discriminator, self.generator = game.owner("discriminator"), game.owner("generator")
        shape = getattr(game.get_submodule("generator"), "image_shape", None)
        if (self.real or self.fake) and shape is not None and (len(shape) != 3 or math.prod(shape[1:]) == 1):
            raise GanlabError(
                f"reg=consistency mirrors and shifts images (C, H, W), and this game has samples of shape "
                f"{tuple(shape)}: set reg.consistency.real=0 and reg.consistency.fake=0, and a weight for latents."
            )

    def acts_on(self, game: Game) -> dict[str, str]:
        weights = {self.discriminator: (self.real, self.fake, self.latent), self.generator: (self.diversity,)}
        return {player: "" for player, given in weights.items() if any(given)}

    def terms(self, player: str, view: View) -> Terms:
        found: Terms = {}
        if player == self.discriminator:
            if present(self.real):
                found["consistency_real"] = self.real * self._apart(view, view.reals)
            if present(self.fake):
                found["consistency_fake"] = self.fake * self._apart(view, view.fakes(grad=False))
            if present(self.latent):
                fakes, near = view.fakes(grad=False), self._nearby(view, grad=False)
                difference = view.logits(fakes) - view.logits(near)
                found["consistency_latent"] = self.latent * difference.square().mean()
        if present(self.diversity) and player == self.generator:
            images, others = (points.images for points in (view.fakes(grad=True), self._nearby(view, grad=True)))
            squared = (images - others).to(torch.promote_types(images.dtype, torch.float32)).square()
            distance = squared.mean() if self.per_pixel else squared.flatten(1).sum(1).mean()
            found["diversity"] = -self.diversity * distance
        return found

    def _apart(self, view: View, points: Points) -> Tensor:
        """E[(D(x) - D(T(x)))^2]"""
        images = points.images.detach()
        uniform = view.draw(f"consistency of {points.role}", (len(images), 3), "uniform").to(images.device)
        changed = replace(points, images=transformed(images, uniform), role=f"{points.role} transformed")
        return (view.logits(points) - view.logits(changed)).square().mean()

    def _nearby(self, view: View, *, grad: bool) -> Points:
        """G(z + d), made once for both players."""
        key = (self, "nearby", grad)
        if key not in view.notes:
            fakes = view.fakes(grad=grad)
            step = view.draw("consistency of latents", view.z.shape, "normal").to(view.z) * self.latent_std
            with torch.set_grad_enabled(grad):
                images = view.run("generator", view.z + step, fakes.labels)
            codes = None if fakes.codes is None else fakes.codes + step
            view.notes[key] = Points(images, fakes.labels, "fake nearby", codes)
        return view.notes[key]


def transformed(images: Tensor, uniform: Tensor) -> Tensor:
    """T: images (B, C, H, W) mirrored and shifted as (B, 3) numbers of U[0, 1) determine."""
    mirror, *places = uniform.unbind(1)
    images = torch.where((mirror < 0.5).view(-1, 1, 1, 1), images.flip(3), images)  # (B, C, H, W)
    most = [int(side * SHIFT) for side in images.shape[2:]]
    steps = [(u * (2 * m + 1)).long().clamp(max=2 * m) - m for u, m in zip(places, most, strict=True)]
    return shifted(images, *steps)
