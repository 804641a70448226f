"""SNGAN: residual networks, with classes (conditional batch norm and projection) or without.

The networks of the spectral normalization paper, of the projection discriminator and, with
``pooling=mean``, of WGAN-GP's codes. Spectral norm itself is the regularizer ``sn``.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.core import sizes
from ganlab.core.checks import at_least
from ganlab.layers.geometry import Doublings, Size, doublings
from ganlab.layers.initialization import initialize
from ganlab.layers.inputs import check_labels, check_latents, check_positive
from ganlab.layers.norm import BatchNorm, ConditionalBatchNorm
from ganlab.layers.residual import DiscriminatorBlock, GeneratorBlock, ProjectionHead

LARGEST_MULTIPLE = 16


def widths(count: int, width: int, growth: int) -> list[int]:
    """Channels of ``count`` maps, the largest first: width·min(growthⁱ, 16)."""
    check_positive(growth=growth)
    return [width * min(growth**i, LARGEST_MULTIPLE) for i in range(count)]


def initialize_residual(network: nn.Module, scheme: str) -> None:
    """`initialize`, with gain √2 on the convolutions between two relus where the scheme is ``xavier``.

    Source: the authors' code of Miyato et al. 2018 (arXiv:1802.05957).
    """
    initialize(network, scheme)
    if scheme == "xavier":
        with torch.no_grad():
            for module in network.modules():
                if isinstance(module, GeneratorBlock | DiscriminatorBlock):
                    module.conv1.weight.mul_(math.sqrt(2))
                    module.conv2.weight.mul_(math.sqrt(2))


class Generator(nn.Module):
    """The residual generator of SNGAN.

    z -> linear -> residual block for each doubling -> BN, relu, 3×3 convolution, tanh

    A map that is 2ⁱ times smaller than the image has width·min(growthⁱ, 16) channels. With classes
    the batch norm of the blocks is conditional, each class with a gain and an offset of its own.

    Source: Miyato et al. 2018 (arXiv:1802.05957), tab. 3 to 5; Miyato & Koyama 2018 (arXiv:1802.05637).
    The CIFAR networks of the papers are width 256, growth 1; those at 48, 64 and 128 are the default.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        num_classes: 0 for none.
        latent_dim: Length of z.
        width: Channels of the largest map.
        growth: 2 doubles the channels with each halving of the map, up to 16·width; 1 keeps them.
        upsampling: ``nearest`` as in the authors' code, or ``bilinear``.
        initialization: ``xavier`` (gain √2 in the blocks), ``orthogonal`` or ``normal``.
        norm_eps: ε of batch norm.

    Shape: z (B, latent_dim), y (B,) -> (B, C, H, W).

    Raises:
        ValueError: If the size cannot be made or an option is unknown; when called, if z or y do not fit.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        latent_dim: int = 128,
        width: int = 64,
        growth: int = 2,
        upsampling: str = "nearest",
        initialization: str = "xavier",
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        check_positive(width=width, latent_dim=latent_dim, image_channels=image_channels)
        self.base, count = doublings(image_size)
        height, breadth = (side * 2**count for side in self.base)
        self.image_shape = (image_channels, height, breadth)
        self.latent_dim, self.num_classes = latent_dim, num_classes
        channels = widths(count + 1, width, growth)[::-1]

        def norm(features: int) -> nn.Module:
            if num_classes == 0:
                return BatchNorm(features, eps=norm_eps)
            return ConditionalBatchNorm(features, num_classes=num_classes, eps=norm_eps)

        self.linear = nn.Linear(latent_dim, channels[0] * math.prod(self.base))
        self.blocks = nn.ModuleList([GeneratorBlock(n, m, norm, upsampling=upsampling) for n, m in pairwise(channels)])
        self.output_norm = BatchNorm(width, eps=norm_eps)
        self.output = nn.Conv2d(width, image_channels, 3, padding=1)
        initialize_residual(self, initialization)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        check_latents(z, self.latent_dim)
        y = check_labels(y, self.num_classes)
        h = self.linear(z).unflatten(1, (-1, *self.base))  # (B, C, h, w)
        for block in self.blocks:
            h = block(h, y)
        return torch.tanh(self.output(F.relu(self.output_norm(h), inplace=True)))


class Discriminator(nn.Module):
    """The residual discriminator of SNGAN.

    halving residual blocks -> residual blocks that keep the map -> relu, pooling, linear (+ projection)

    Block i has width·min(growthⁱ, 16) channels. The first convolution of a block keeps the number of
    channels and the second changes it, but in the first block.

    Source: Miyato et al. 2018 (arXiv:1802.05957), tab. 3 to 5; Miyato & Koyama 2018 (arXiv:1802.05637).
    The CIFAR networks of the papers are width 128, growth 1, halvings 2, plain_blocks 2.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        num_classes: With classes a projection is added to the logit; 0 for none.
        width: Channels of the first block.
        growth: 2 doubles the channels from block to block, up to 16·width; 1 keeps them.
        halvings: Blocks that halve the map; None halves it down to the base, 4 to 15 pixels.
        plain_blocks: Blocks that keep the map, at the end.
        pooling: ``sum``, or ``mean`` as in WGAN-GP.
        output_bias: Whether the logit has a bias: not in the authors' network for CIFAR.
        wide: Whether the first convolution of a block changes the number of channels, and not the second.
        thin_first: Whether in the first block too the second one does, as in one published code; the
            papers' first block is wide in any case.
        shortcut_activation: Whether the shortcuts start behind the block's first relu: an in-place
            relu of one published code makes them. The papers' do not.
        initialization: ``xavier`` (gain √2 in the blocks), ``orthogonal`` or ``normal``.

    Shape: x (B, C, H, W), y (B,) -> features (B, feature_channels, h, w), logits (B,).

    Raises:
        ValueError: If the network cannot have the size or an option is unknown; when called, if y is missing.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        width: int = 64,
        growth: int = 2,
        halvings: int | None = None,
        plain_blocks: int = 1,
        pooling: str = "sum",
        output_bias: bool = True,
        wide: bool = False,
        thin_first: bool = False,
        shortcut_activation: bool = False,
        initialization: str = "xavier",
    ) -> None:
        super().__init__()
        check_positive(width=width, image_channels=image_channels)
        base, count = doublings(image_size)
        height, breadth = (side * 2**count for side in base)
        halvings = count if halvings is None else halvings
        if halvings < 1 or min(height, breadth) >> halvings < 1:
            most = min(height, breadth).bit_length() - 1
            raise ValueError(f"expected halvings to be 1 to {most} at {sizes.words((height, breadth))}, got {halvings}")
        at_least("plain_blocks", plain_blocks, 0)
        self.image_shape = (image_channels, height, breadth)
        self.num_classes = num_classes
        channels = widths(halvings + plain_blocks, width, growth)
        self.feature_channels = channels[-1]
        inputs = [image_channels, *channels[:-1]]
        self.blocks = nn.ModuleList(
            [
                DiscriminatorBlock(
                    n,
                    m,
                    m if wide or (i == 0 and not thin_first) else n,
                    first=i == 0,
                    downsample=i < halvings,
                    shortcut_activation=shortcut_activation,
                )
                for i, (n, m) in enumerate(zip(inputs, channels, strict=True))
            ]
        )
        self.head = ProjectionHead(channels[-1], num_classes, pooling=pooling, bias=output_bias)
        initialize_residual(self, initialization)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


class Encoder(nn.Module):
    """An encoder with the residual blocks of SNGAN's discriminator.

    residual block for each halving, plain blocks -> relu -> linear over the whole map

    Source: the shape of Miyato et al. 2018 (arXiv:1802.05957), tab. 4; as an encoder it is ganlab's own.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        latent_dim: Length of the code.
        width: Channels of the first block.
        growth: 2 doubles the channels from block to block, up to 16·width; 1 keeps them.
        plain_blocks: Blocks that keep the map, at the end.
        initialization: ``xavier`` (gain √2 in the blocks), ``orthogonal`` or ``normal``.

    Shape: x (B, C, H, W) -> mean and log-variance, each (B, latent_dim). Labels are ignored.

    Raises:
        ValueError: If the network cannot have the size or an option is unknown.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        latent_dim: int = 128,
        *,
        width: int = 64,
        growth: int = 2,
        plain_blocks: int = 1,
        initialization: str = "xavier",
    ) -> None:
        super().__init__()
        check_positive(latent_dim=latent_dim)
        self.body = Discriminator(image_size, image_channels, width=width, growth=growth, plain_blocks=plain_blocks)
        self.image_shape, self.latent_dim = self.body.image_shape, latent_dim
        base, _ = doublings(image_size)
        del self.body.head
        self.linear = nn.Linear(self.body.feature_channels * math.prod(base), 2 * latent_dim)
        initialize_residual(self, initialization)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.linear(F.relu(self.body.features(x)).flatten(1)).chunk(2, 1)  # (B, Z) each
        return mean, log_variance
