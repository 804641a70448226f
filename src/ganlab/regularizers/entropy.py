"""Entropy of the generator, by mutual information of images and latents."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core import distributed
from ganlab.core.checks import at_least, at_least_zero
from ganlab.core.errors import GanlabError


class Statistics(nn.Module):
    """T(x, z) -> (B,): strided convolutions down to at most 4x4, then two hidden layers that see z too.

    Points are taken as they are.
    """

    def __init__(self, image_shape: tuple[int, ...], latent_dim: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        length = math.prod(image_shape)
        if len(image_shape) == 3:
            channels, height, breadth = image_shape
            while max(height, breadth) > 4:
                layers += [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
                channels, height, breadth = width, height // 2, breadth // 2
            length = channels * height * breadth
        self.images = nn.Sequential(*layers, nn.Flatten())
        self.hidden = nn.Linear(length + latent_dim, 2 * width)
        self.output = nn.Sequential(
            nn.LeakyReLU(0.2), nn.Linear(2 * width, 2 * width), nn.LeakyReLU(0.2), nn.Linear(2 * width, 1)
        )

    def forward(self, images: Tensor, latents: Tensor) -> Tensor:
        return self.output(self.hidden(torch.cat([self.images(images), latents], 1))).squeeze(1)


class Entropy(Regularizer):
    """Entropy of the generator, raised through the mutual information of its images and their latents.

    G and T: weight * L,  L = 1/2 E[softplus(-T(G(z), z))] + 1/2 E[softplus(T(G(z), z'))]

    z' is z in another order, over all ranks; under accumulation within the micro-batch. log 2 - L is at most the
    Jensen-Shannon divergence of (G(z), z) and (G(z), z'), with equality for the best T; a deterministic G(z) has no
    entropy but that of z, so it grows with this information. T is a small network that this
    regularizer adds to the generator's player. Labels are not shown to it.

    Source: Kumar et al. 2019 (arXiv:1901.08508), eqs. 4 to 6; this estimator (Hjelm et al. 2019, arXiv:1808.06670,
    eq. 4) is that of its code. ``game=meg`` has it built in, with the published network.

    Args:
        weight: At least 0; the paper's is 1.
        width: Channels of T's convolutions; its hidden layers have twice as many units.

    Raises:
        ValueError: If an option is out of range.
    """

    addresses = (Address("generator"),)
    needs = ("generator",)
    refuses = {"entropy": "this game maximises the generator's entropy already"}  # noqa: RUF012

    def __init__(self, weight: float = 1.0, width: int = 64) -> None:
        super().__init__()
        self.weight, self.width = at_least_zero("weight", weight), at_least("width", width, 1)

    def attach(self, game: Game) -> None:
        super().attach(game)
        generator = game.get_submodule("generator")
        shape, latent_dim = (getattr(generator, name, None) for name in ("image_shape", "latent_dim"))
        if shape is None or not latent_dim:
            raise GanlabError(
                f"reg=entropy must know the shapes of {type(generator).__name__}: "
                f"give it the attributes image_shape and latent_dim."
            )
        self.image_size = tuple(shape[1:])
        network = Statistics(tuple(shape), int(latent_dim), self.width)
        self.statistics = network
        game.add_modules(game.owner("generator"), entropy=network)

    def terms(self, player: str, view: View) -> Terms:
        images, z = view.fakes().images, view.z
        if images.ndim == 4 and tuple(images.shape[2:]) != self.image_size:  # a generator that still grows
            images = F.interpolate(images, self.image_size)
        value = ignorance(self.statistics(images, z), self.statistics(images, permuted(z, view)))
        view.note(f"{player}/information", math.log(2) - value)
        return {"entropy": self.weight * value}


def permuted(z: Tensor, view: View) -> Tensor:
    """Return this rank's share of all ranks' (B, Z) latents in another, keyed order."""
    order = view.gather(view.draw("order of codes", (len(z),), "uniform")).argsort()
    start = distributed.rank() * len(z)
    return view.gather(z)[order[start : start + len(z)]]


def ignorance(joint: Tensor, product: Tensor) -> Tensor:
    """1/2 E[softplus(-joint)] + 1/2 E[softplus(product)]: log 2 if the statistics tell nothing."""
    joint, product = (t.float() if t.dtype in (torch.bfloat16, torch.float16) else t for t in (joint, product))
    # torch's softplus is exact in float64 only with a threshold above the default 20
    return (F.softplus(-joint, threshold=40).mean() + F.softplus(product, threshold=40).mean()) / 2
