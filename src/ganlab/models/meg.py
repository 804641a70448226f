"""The networks of MEG: DCGAN-like generator, energy and statistics network."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.layers.geometry import Doublings, Size, doublings
from ganlab.layers.inputs import check_latents, check_positive
from ganlab.layers.norm import BatchNorm

SLOPE = 0.1


def _initialize(network: nn.Module) -> None:
    """Convolutions N(0, 0.02), gains of batch norm N(1, 0.02); linear maps and biases keep torch's default."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, BatchNorm):
            nn.init.normal_(module.weight, 1.0, 0.02)


def _widths(count: int, width: int, largest_width: int | None) -> list[int]:
    """Channels of the maps that are 1, 2, 4, ... times smaller than the image."""
    check_positive(width=width, largest_width=1 if largest_width is None else largest_width)
    return [min(width * 2**i, largest_width or width * 2**i) for i in range(count + 1)]


class Generator(nn.Module):
    """The generator of MEG.

    z -> linear -> [4×4 transposed convolution of stride 2, BN, relu] for each doubling -> 3×3 convolution -> tanh

    A map that is 2ⁱ times smaller than the image has min(width·2ⁱ, largest_width) channels.

    Source: Kumar et al. 2019 (arXiv:1901.08508), with the layers of the authors' code at 32 pixels, for any size.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        latent_dim: Length of z.
        width: Channels of the largest map.
        largest_width: Most channels that a map has; null: no bound. The authors have 512 for CelebA at 64 pixels.

    Shape: z (B, latent_dim) -> (B, C, H, W). Labels are ignored.

    Raises:
        ValueError: If the size cannot be made; when called, if z does not fit.
    """

    image_sizes = Doublings()
    num_classes = 0

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        *,
        latent_dim: int = 128,
        width: int = 64,
        largest_width: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(width=width, latent_dim=latent_dim, image_channels=image_channels)
        self.base, count = doublings(image_size)
        height, breadth = (side * 2**count for side in self.base)
        self.image_shape, self.latent_dim = (image_channels, height, breadth), latent_dim
        widths = _widths(count, width, largest_width)[::-1]
        self.linear = nn.Linear(latent_dim, widths[0] * math.prod(self.base))
        self.convs = nn.ModuleList([nn.ConvTranspose2d(n, m, 4, stride=2, padding=1) for n, m in pairwise(widths)])
        self.norms = nn.ModuleList([BatchNorm(m) for m in widths[1:]])
        self.output = nn.ConvTranspose2d(widths[-1], image_channels, 3, padding=1)
        _initialize(self)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        check_latents(z, self.latent_dim)
        h = self.linear(z).unflatten(1, (-1, *self.base))  # (B, C, h, w)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h = F.relu(norm(conv(h)), inplace=True)
        return torch.tanh(self.output(h))


class _Body(nn.Module):
    """[3×3 convolution, 4×4 convolution of stride 2] for each halving -> 3×3 convolution, all with leaky relus."""

    def __init__(self, image_size: Size, image_channels: int, width: int, largest_width: int | None) -> None:
        super().__init__()
        check_positive(width=width, image_channels=image_channels)
        base, count = doublings(image_size)
        height, breadth = (side * 2**count for side in base)
        self.image_shape = (image_channels, height, breadth)
        widths = [image_channels, *_widths(count, width, largest_width)]
        convs: list[nn.Module] = []
        for i, (n, m) in enumerate(pairwise(widths)):
            convs.append(nn.Conv2d(n, m, 3, padding=1))
            if i < count:
                convs.append(nn.Conv2d(m, m, 4, stride=2, padding=1))
        self.convs = nn.ModuleList(convs)
        self.channels, self.length = widths[-1], widths[-1] * math.prod(base)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE, inplace=True)
        return x


class Discriminator(nn.Module):
    """The energy of MEG, as a discriminator: logit = -E(x).

    [3×3 convolution, 4×4 convolution of stride 2] for each halving -> 3×3 convolution -> linear; leaky relus of 0.1

    Source: Kumar et al. 2019 (arXiv:1901.08508), with the layers of the authors' code at 32 pixels, for any size.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        width: Channels of the largest map.
        largest_width: Most channels that a map has; null: no bound. The authors have 512 for CelebA at 64 pixels.

    Shape: x (B, C, H, W) -> features (B, feature_channels, h, w), logits (B,). Labels are ignored.

    Raises:
        ValueError: If the network cannot have the size.
    """

    image_sizes = Doublings()
    num_classes = 0

    def __init__(
        self, image_size: Size = 32, image_channels: int = 3, *, width: int = 64, largest_width: int | None = None
    ) -> None:
        super().__init__()
        self.body = _Body(image_size, image_channels, width, largest_width)
        self.image_shape, self.feature_channels = self.body.image_shape, self.body.channels
        self.linear = nn.Linear(self.body.length, 1)
        _initialize(self)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.body(x)

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return -self.linear(features.flatten(1)).squeeze(1)  # (B,)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


class Statistics(nn.Module):
    """The statistics network of MEG, which judges pairs of an image and a code.

    T(x, z) = w·lrelu(W [V f(x), z]) + b, with f the energy's convolutions and V f(x) as long as z

    Source: Kumar et al. 2019 (arXiv:1901.08508), with the layers of the authors' code at 32 pixels, for any size.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        latent_dim: Length of z.
        width: Channels of the largest map.
        largest_width: Most channels that a map has; null: no bound. The authors have 512 for CelebA at 64 pixels.

    Shape: x (B, C, H, W), z (B, latent_dim) -> (B,). Labels are ignored.

    Raises:
        ValueError: If the network cannot have the size; when called, if z does not fit.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        latent_dim: int = 128,
        *,
        width: int = 64,
        largest_width: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(latent_dim=latent_dim)
        self.body = _Body(image_size, image_channels, width, largest_width)
        self.image_shape, self.latent_dim = self.body.image_shape, latent_dim
        self.image = nn.Linear(self.body.length, latent_dim)
        self.both = nn.Linear(2 * latent_dim, self.body.channels)
        self.output = nn.Linear(self.body.channels, 1)
        _initialize(self)

    def forward(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        check_latents(z, self.latent_dim)
        image = self.image(self.body(x).flatten(1))  # (B, Z)
        h = F.leaky_relu(self.both(torch.cat([image, z], 1)), SLOPE)
        return self.output(h).squeeze(1)
