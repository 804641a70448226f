"""R3GAN: residual blocks of grouped convolutions without normalization."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.core.checks import at_least
from ganlab.layers.fir import FIRFilter
from ganlab.layers.geometry import Doublings, Size, doublings
from ganlab.layers.inputs import check_labels, check_latents, check_positive
from ganlab.layers.spectral_norm import exempt
from ganlab.layers.widths import channels_of

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # of the leaky relu (He et al. 2015, arXiv:1502.01852)
LAYERS = 3  # convolutions of a block


class Block(nn.Module):
    """x + conv3(lrelu(conv2(lrelu(conv1(x))))): 1×1 to ``hidden`` channels, grouped 3×3, and 1×1 back without bias.

    Weights start as N(0, gain²/fan_in) with gain = √(2/1.04)·L^(−1/4), those of conv3 and biases as 0, so that a
    network starts as its skips alone.

    Source: Huang et al. 2024 (arXiv:2501.05441), sec. 3.3 and 3.4, fig. 1; the initialization is Fixup's (Zhang et al.
    2019, arXiv:1901.09321).

    Args:
        channels: C.
        hidden: Channels in between.
        group_width: Channels of a group; it divides ``hidden``, and a block with fewer channels is one group.
        blocks: L, blocks of the whole network.

    Shape: (B, C, H, W) -> (B, C, H, W).
    """

    def __init__(self, channels: int, hidden: int, group_width: int, blocks: int) -> None:
        super().__init__()
        group_width = min(group_width, hidden)
        if hidden % group_width:
            raise ValueError(
                f"expected group_width to divide the {hidden} channels inside a block of {channels}, got {group_width}"
            )
        gain = GAIN * blocks ** (-1 / (2 * LAYERS - 2))
        self.conv1 = _started(nn.Conv2d(channels, hidden, 1), gain)
        self.conv2 = _started(nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden // group_width), gain)
        # a weight of zeros has no norm to be divided by
        self.conv3 = exempt(_started(nn.Conv2d(hidden, channels, 1, bias=False), 0.0))

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.conv1(x), SLOPE, inplace=True)
        return x + self.conv3(F.leaky_relu(self.conv2(h), SLOPE, inplace=True))


class BaseMap(nn.Module):
    """A learned map a channel, N(0, 1) at the start, times a linear map of the latents without bias.

    Shape: (B, in_features) -> (B, channels, h, w).
    """

    def __init__(self, in_features: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(channels, *size))
        self.linear = _started(nn.Linear(in_features, channels, bias=False))

    def forward(self, z: Tensor) -> Tensor:
        return self.maps * self.linear(z)[:, :, None, None]  # (B, C, h, w)


class BaseSum(nn.Module):
    """The sum of each channel over positions, weighted by a learned map, and a linear map of these without bias.

    Shape: (B, channels, h, w) -> (B, out_features).
    """

    def __init__(self, channels: int, size: tuple[int, int], out_features: int) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.randn(channels, *size) / math.sqrt(math.prod(size)))
        self.linear = _started(nn.Linear(channels, out_features, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear((x * self.maps).sum((2, 3)))


class Generator(nn.Module):
    """The generator of R3GAN.

    [z, embed(y)] -> linear, times a learned basis map a channel -> blocks -> [1×1 conv where channels change, doubling
    with the filter 1, 3, 3, 1, blocks] for each level -> 1×1 conv

    There is no bias outside of blocks, no normalization, no noise and no tanh: images may leave [-1, 1].

    Source: Huang et al. 2024 (arXiv:2501.05441), sec. 3 and fig. 1, configuration E, and the authors' code. It runs
    the levels above the base in bfloat16, and here ``trainer.precision`` says it for all.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        num_classes: 0 for none.
        latent_dim: Length of z.
        embedding_dim: Length of a label's embedding.
        width: Level l has min(width/2^(l+1), ``max_width``) channels; or the channels of each level, from the base on.
        max_width: Most channels of a map.
        blocks: Blocks of a level; or of each, from the base on.
        expansion: Channels inside a block as a multiple of those outside.
        group_width: Channels of a group of the grouped convolutions; 32 in the networks for ImageNet. It divides the
            channels inside each block, and a block with fewer is one group.
        taps: Of the filter of each change of size, see `FIRFilter`.

    Shape: z (B, latent_dim), y (B,) -> (B, C, H, W).

    Raises:
        ValueError: If a number cannot be; when called, if z or y do not fit.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        latent_dim: int = 64,
        embedding_dim: int = 64,
        width: int | tuple[int, ...] = 12288,
        max_width: int = 768,
        blocks: int | tuple[int, ...] = 2,
        expansion: int = 2,
        group_width: int = 16,
        taps: tuple[float, ...] = (1.0, 3.0, 3.0, 1.0),
    ) -> None:
        super().__init__()
        check_positive(latent_dim=latent_dim, embedding_dim=embedding_dim, image_channels=image_channels)
        base, levels = doublings(image_size)
        channels = channels_of(levels, width, max_width)
        self.image_shape = (image_channels, *(side * 2**levels for side in base))
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.embedding = _embedding(num_classes, embedding_dim, 1.0) if num_classes else None
        self.base = BaseMap(latent_dim + (embedding_dim if num_classes else 0), channels[0], base)
        self.stages = _stages(channels, blocks, expansion, group_width)
        self.transitions = nn.ModuleList([_transition(n, m) for n, m in pairwise(channels)])
        self.upsample = FIRFilter(taps, "up")
        self.to_image = _started(nn.Conv2d(channels[-1], image_channels, 1, bias=False))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        check_latents(z, self.latent_dim)
        y = check_labels(y, self.num_classes)
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(y)], 1)
        x = self.stages[0](self.base(z))
        for transition, stage in zip(self.transitions, self.stages[1:], strict=True):
            x = stage(self.upsample(transition(x)))
        return self.to_image(x)


class Discriminator(nn.Module):
    """The discriminator of R3GAN: its generator's levels in reverse.

    1×1 conv -> [blocks, halving with the filter 1, 3, 3, 1, 1×1 conv where channels change] for each level above the
    base -> blocks -> a learned map a channel that its positions are summed with, linear

    Conditional: logit = ⟨embed(y), h⟩, h the linear map's output of length ``embedding_dim``.

    Source: Huang et al. 2024 (arXiv:2501.05441), sec. 3 and fig. 1, configuration E, and the authors' code. It runs
    the levels above the base in bfloat16, and here ``trainer.precision`` says it for all.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        num_classes: 0 for none.
        embedding_dim: Length of a label's embedding; None: the channels of the base map, as in the authors' code.
        width: Level l has min(width/2^(l+1), ``max_width``) channels; or the channels of each level, from the base on.
        max_width: Most channels of a map.
        blocks: Blocks of a level; or of each, from the base on.
        expansion: Channels inside a block as a multiple of those outside.
        group_width: Channels of a group of the grouped convolutions; 32 in the networks for ImageNet. It divides the
            channels inside each block, and a block with fewer is one group.
        taps: Of the filter of each change of size, see `FIRFilter`.

    Shape: x (B, C, H, W), y (B,) -> features (B, feature_channels, h, w), logits (B,).

    Raises:
        ValueError: If a number cannot be; when called, if y is missing.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        embedding_dim: int | None = None,
        width: int | tuple[int, ...] = 12288,
        max_width: int = 768,
        blocks: int | tuple[int, ...] = 2,
        expansion: int = 2,
        group_width: int = 16,
        taps: tuple[float, ...] = (1.0, 3.0, 3.0, 1.0),
    ) -> None:
        super().__init__()
        check_positive(image_channels=image_channels, embedding_dim=1 if embedding_dim is None else embedding_dim)
        base, levels = doublings(image_size)
        channels = channels_of(levels, width, max_width)
        self.image_shape, self.num_classes = (image_channels, *(side * 2**levels for side in base)), num_classes
        self.feature_channels = channels[0]
        outputs = (embedding_dim or channels[0]) if num_classes else 1
        self.from_image = _started(nn.Conv2d(image_channels, channels[-1], 1, bias=False))
        self.stages = _stages(channels, blocks, expansion, group_width)
        self.downsample = FIRFilter(taps, "down")
        self.transitions = nn.ModuleList([_transition(m, n) for n, m in pairwise(channels)])
        self.base = BaseSum(channels[0], base, outputs)
        self.embedding = _embedding(num_classes, outputs, 1 / math.sqrt(outputs)) if num_classes else None

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        x = self.from_image(x)
        for transition, stage in zip(reversed(self.transitions), reversed(self.stages[1:]), strict=True):
            x = transition(self.downsample(stage(x)))
        return self.stages[0](x)

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        y = check_labels(y, self.num_classes)
        h = self.base(features)  # (B, 1 or embedding_dim)
        return h.squeeze(1) if self.embedding is None else (h * self.embedding(y)).sum(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


def _stages(channels: Sequence[int], blocks: int | tuple[int, ...], expansion: int, group_width: int) -> nn.ModuleList:
    counts = (blocks,) * len(channels) if isinstance(blocks, int) else blocks
    if len(counts) != len(channels):
        raise ValueError(f"expected blocks to be one number or {len(channels)}, one a level, got {list(counts)}")
    check_positive(expansion=expansion, group_width=group_width)
    for count in counts:
        at_least("blocks", count, 0)
    total = max(1, sum(counts))
    each = zip(channels, counts, strict=True)
    return nn.ModuleList(
        [nn.Sequential(*(Block(n, n * expansion, group_width, total) for _ in range(count))) for n, count in each]
    )


def _transition(in_channels: int, out_channels: int) -> nn.Module:
    if in_channels == out_channels:
        return nn.Identity()
    return _started(nn.Conv2d(in_channels, out_channels, 1, bias=False))


def _embedding(num_classes: int, length: int, gain: float) -> nn.Embedding:
    """As the linear map of a one-hot vector that it is in the authors' code, whose fan-in is the number of classes."""
    embedding = nn.Embedding(num_classes, length)
    nn.init.normal_(embedding.weight, 0.0, gain / math.sqrt(num_classes))
    return embedding


def _started(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Module:
    """Fill weights with N(0, gain²/fan_in), and a bias with 0."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
