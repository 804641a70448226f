"""The smallest networks that grow, as a plug-in would bring them; names for a command line in this process."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab.core import registry

BASE = 4
NAME = "toy_growing"
# a growing run of a second: levels of 4, 8 and 16 pixels, stable for 32 images, fading over 48
WORDS = (
    f"generator={NAME}",
    f"discriminator={NAME}",
    "growth=progressive",
    "growth.stable_kimg=0.032",
    "growth.fade_kimg=0.048",
    "data.image_size=16",
    "data.batch_size=8",
    "loss=wgan_gp",
    "optimizer.generator.lr=1e-3",
    "ema.half_life_kimg=0.05",
    "ema.ramp_up=null",
    "sample.count=4",
    "trainer.log_every_n_steps=1",
    "trainer.accelerator=cpu",
)


class _Levels(nn.Module):
    """Levels of one width; the protocol of `ganlab.contracts.growth.Grows`."""

    alpha: Tensor

    def __init__(self, image_size: int, image_channels: int, width: int) -> None:
        super().__init__()
        self.image_shape = image_channels, image_size, image_size
        self.num_classes = 0
        self.levels = self.level = int(math.log2(image_size // BASE))
        self.register_buffer("alpha", torch.ones(()))
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(self.levels + 1))
        self.fading = False

    def set_stage(self, level: int, alpha: float) -> None:
        self.level, self.fading = level, level > 0 and alpha < 1
        self.alpha.fill_(alpha)

    def image_size_at(self, level: int) -> tuple[int, int]:
        return BASE * 2**level, BASE * 2**level


class GrowingGenerator(_Levels):
    """A generator of levels."""

    image_sizes = tuple(BASE * 2**level for level in range(5))

    def __init__(self, image_size: int, image_channels: int, *, width: int = 4, latent_dim: int = 3) -> None:
        super().__init__(image_size, image_channels, width)
        self.latent_dim = latent_dim
        self.first = nn.Linear(latent_dim, width * BASE**2)
        self.to_image = nn.ModuleList(nn.Conv2d(width, image_channels, 1) for _ in self.convs)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        h = before = self.first(z).unflatten(1, (-1, BASE, BASE))
        for level in range(self.level + 1):
            before, h = h, F.interpolate(h, scale_factor=2) if level else h
            h = F.softplus(self.convs[level](h))
        new = self.to_image[self.level](h)
        if not self.fading:
            return new
        return F.interpolate(self.to_image[self.level - 1](before), scale_factor=2).lerp(new, self.alpha)


class GrowingDiscriminator(_Levels):
    """A discriminator of levels, smooth."""

    def __init__(self, image_size: int, image_channels: int, *, width: int = 4) -> None:
        super().__init__(image_size, image_channels, width)
        self.feature_channels = width
        self.from_image = nn.ModuleList(nn.Conv2d(image_channels, width, 1) for _ in self.convs)
        self.out = nn.Linear(width * BASE**2, 1)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.from_image[self.level](x)
        for level in range(self.level, 0, -1):
            h = F.avg_pool2d(F.softplus(self.convs[level](h)), 2)
            if self.fading and level == self.level:
                h = self.from_image[level - 1](F.avg_pool2d(x, 2)).lerp(h, self.alpha)
        return F.softplus(self.convs[0](h))

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return self.out(features.flatten(1)).squeeze(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


@contextmanager
def installed() -> Iterator[None]:
    """Inside, a command line of this process knows the networks."""
    both = {("generator", NAME): GrowingGenerator, ("discriminator", NAME): GrowingDiscriminator}
    registry._registered.update(both)
    try:
        yield
    finally:
        for key in both:
            del registry._registered[key]
