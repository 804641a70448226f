"""The networks of IntroVAE: a residual encoder and generator."""

from __future__ import annotations

import math
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.layers.geometry import Doublings, Size, doublings
from ganlab.layers.inputs import check_latents, check_positive
from ganlab.layers.norm import BatchNorm

SLOPE = 0.2


def widths(count: int, width: int, largest_width: int) -> list[int]:
    """Channels of the maps that are 1, 2, 4, ... times smaller than the image: width·2ⁱ, up to a largest one."""
    return [min(width * 2**i, largest_width) for i in range(count)]


class Block(nn.Module):
    """out = lrelu(BN(conv2(lrelu(BN(conv1(x)))) + shortcut(x))), 3×3 convolutions without biases.

    Source: Huang et al. 2018 (arXiv:1807.06358), appendix, and the authors' code.

    Args:
        in_channels: C.
        out_channels: C'.
        shortcut: Whether the shortcut is a 1×1 convolution although channels do not change.

    Shape: (B, C, H, W) -> (B, C', H, W).
    """

    def __init__(self, in_channels: int, out_channels: int, shortcut: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = BatchNorm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = BatchNorm(out_channels)
        shortcut = shortcut or in_channels != out_channels
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False) if shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.norm1(self.conv1(x)), SLOPE)
        return F.leaky_relu(self.norm2(self.conv2(h) + (x if self.shortcut is None else self.shortcut(x))), SLOPE)


class Generator(nn.Module):
    """The generator (decoder) of IntroVAE.

    z -> linear, relu -> [residual block, doubling] ... -> residual block -> 5×5 convolution

    A block's map that is 2ⁱ times smaller than the image has min(width·2ⁱ⁻¹, largest_width) channels, and the
    last one as many as the one before. Nothing bounds the pixels.

    Source: Huang et al. 2018 (arXiv:1807.06358) and the authors' code: width 32 at 256 pixels, 16 at 1024.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        latent_dim: Length of z.
        width: Channels of the largest maps.
        largest_width: Most channels that a map has.
        equal_shortcuts: Shortcuts between two maps of ``largest_width`` channels are convolutions too. The authors'
            code compares numbers by identity, and so has them if it is started from its scripts.
        unit_range: The last convolution makes pixels in [0, 1], as in the authors' code; they are mapped to [-1, 1].

    Shape: z (B, latent_dim) -> (B, C, H, W). Labels are ignored.

    Raises:
        ValueError: If the size cannot be made; when called, if z does not fit.
    """

    image_sizes = Doublings()
    num_classes = 0

    def __init__(
        self,
        image_size: Size = 256,
        image_channels: int = 3,
        *,
        latent_dim: int = 512,
        width: int = 32,
        largest_width: int = 512,
        equal_shortcuts: bool = False,
        unit_range: bool = False,
    ) -> None:
        super().__init__()
        check_positive(width=width, largest_width=largest_width, latent_dim=latent_dim, image_channels=image_channels)
        self.base, count = doublings(image_size)
        height, breadth = (side * 2**count for side in self.base)
        self.image_shape, self.latent_dim, self.unit_range = (image_channels, height, breadth), latent_dim, unit_range
        channels = widths(count, width, largest_width)[::-1]
        self.linear = nn.Linear(latent_dim, channels[0] * math.prod(self.base))
        pairs = list(pairwise([channels[0], *channels, channels[-1]]))
        own = {0, len(pairs) - 1}  # between a map and itself
        self.blocks = nn.ModuleList([Block(n, m, equal_shortcuts and i not in own) for i, (n, m) in enumerate(pairs)])
        self.output = nn.Conv2d(channels[-1], image_channels, 5, padding=2)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        check_latents(z, self.latent_dim)
        h = F.relu(self.linear(z)).unflatten(1, (-1, *self.base))  # (B, C, h, w)
        for i, block in enumerate(self.blocks):
            h = block(F.interpolate(h, scale_factor=2.0, mode="nearest") if i else h)
        images = self.output(h)
        return 2 * images - 1 if self.unit_range else images


class Encoder(nn.Module):
    """The encoder of IntroVAE.

    5×5 convolution, BN, leaky relu -> [mean pooling, residual block] ... -> mean pooling, residual block -> linear

    Source: Huang et al. 2018 (arXiv:1807.06358) and the authors' code: width 32 at 256 pixels, 16 at 1024.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        latent_dim: Length of the code.
        width: Channels of the largest map.
        largest_width: Most channels that a map has.
        equal_shortcuts: Shortcuts between two maps of ``largest_width`` channels are convolutions too. The authors'
            code compares numbers by identity, and so has them if it is started from its scripts.
        unit_range: The first convolution sees pixels in [0, 1], as in the authors' code.

    Shape: x (B, C, H, W) -> mean and log-variance, each (B, latent_dim). Labels are ignored.

    Raises:
        ValueError: If the network cannot have the size.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 256,
        image_channels: int = 3,
        latent_dim: int = 512,
        *,
        width: int = 32,
        largest_width: int = 512,
        equal_shortcuts: bool = False,
        unit_range: bool = False,
    ) -> None:
        super().__init__()
        check_positive(width=width, largest_width=largest_width, latent_dim=latent_dim, image_channels=image_channels)
        base, count = doublings(image_size)
        height, breadth = (side * 2**count for side in base)
        self.image_shape, self.latent_dim, self.unit_range = (image_channels, height, breadth), latent_dim, unit_range
        channels = widths(count, width, largest_width)
        self.input = nn.Conv2d(image_channels, width, 5, padding=2, bias=False)
        self.norm = BatchNorm(channels[0])
        pairs = list(pairwise([*channels, channels[-1]]))
        self.blocks = nn.ModuleList([Block(n, m, equal_shortcuts) for n, m in pairs[:-1]] + [Block(*pairs[-1])])
        self.output = nn.Linear(channels[-1] * math.prod(base), 2 * latent_dim)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = F.leaky_relu(self.norm(self.input((x + 1) / 2 if self.unit_range else x)), SLOPE)
        for block in self.blocks:
            h = block(F.avg_pool2d(h, 2))
        mean, log_variance = self.output(h.flatten(1)).chunk(2, 1)  # (B, Z) each
        return mean, log_variance
