"""GAN-QP: a quadratic potential in place of a Lipschitz constraint."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganlab.core.checks import positive
from ganlab.core.errors import one_of

DISTANCES = ("l1", "l2")


@dataclass(frozen=True)
class GANQP:
    """Quadratic-potential loss on pairs of a real and a fake image, with t = D(x) - D(G(z)).

    D: E[t^2 / (2 λ d(x, G(z))) - t]        G: E[t]

    The best t is λ d(x, G(z)): the potential holds D's slope between the images of a pair, so D needs
    no penalty, and its gradient does not vanish. d is l1, mean |x - G(z)| over pixels and channels, or l2, the
    root of the mean square; no gradient goes through it. A pair of equal images has d = 0 and counts
    with -t only. Images are paired by their index in the micro-batch. In G, D(x) is a constant: where the
    game gives no real logits the loss is E[-D(G(z))], of the same gradient.

    Source: Su 2018 (arXiv:1811.07296), section 3; that d is a mean and not a sum, and λ = 10, from the
    author's code (github.com/bojone/gan-qp f81ec73).

    Args:
        distance: ``l1`` or ``l2``.
        scale: λ above, positive.

    Raises:
        ValueError: If an option is out of range; when called, if the numbers of images differ.
    """

    provides = ("pairing",)

    distance: str = "l1"
    scale: float = 10.0

    def __post_init__(self) -> None:
        one_of(self.distance, DISTANCES, "distance")
        positive("scale", self.scale)

    def discriminator(
        self, *, real_logits: Tensor, fake_logits: Tensor, real_images: Tensor, fake_images: Tensor
    ) -> Tensor:
        t = _difference(real_logits, fake_logits)
        d = _distance(real_images, fake_images, self.distance).to(t.dtype).view(-1, *[1] * (t.ndim - 1))
        apart = d > 0
        potential = t.square() / (2 * self.scale * torch.where(apart, d, 1.0))
        return (torch.where(apart, potential, 0.0) - t).mean()

    def generator(self, *, real_logits: Tensor | None = None, fake_logits: Tensor) -> Tensor:
        return -fake_logits.mean() if real_logits is None else _difference(real_logits, fake_logits).mean()


def _difference(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    if real_logits.shape != fake_logits.shape:
        real, fake = tuple(real_logits.shape), tuple(fake_logits.shape)
        raise ValueError(f"expected as many real as fake logits to pair them, got {real} and {fake}")
    return real_logits - fake_logits


@torch.no_grad()
def _distance(real_images: Tensor, fake_images: Tensor, distance: str) -> Tensor:
    dtype = torch.promote_types(torch.promote_types(real_images.dtype, fake_images.dtype), torch.float32)
    difference = (real_images.to(dtype) - fake_images.to(dtype)).flatten(1)  # (B, C·H·W)
    return difference.abs().mean(1) if distance == "l1" else difference.square().mean(1).sqrt()
