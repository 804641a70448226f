"""StyleGAN2: styles that modulate convolutions, and networks with skips instead of growth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.core.checks import positive
from ganlab.core.errors import one_of
from ganlab.layers.equalized import GAIN, EqualizedConv2d, EqualizedLinear
from ganlab.layers.fir import FIRFilter
from ganlab.layers.geometry import Doublings, Size, doublings
from ganlab.layers.inputs import check_labels, check_positive
from ganlab.layers.mapping import MappingNetwork
from ganlab.layers.minibatch_stddev import MinibatchStddev
from ganlab.layers.modulated import SynthesisLayer, ToImage
from ganlab.layers.noise import noise_maps
from ganlab.layers.style_generator import StyleGenerator
from ganlab.layers.widths import channels_of

SLOPE = 0.2
ARCHITECTURES = ("skip", "resnet", "orig")
HALF = math.sqrt(0.5)  # of both branches of a residual block


class Synthesis(nn.Module):
    """ws -> images: a learned constant and a layer, then two layers for each level, of which the first doubles the map.

    ``skip`` adds the images of all levels, each doubled with the filter; ``resnet`` adds a doubled 1×1 convolution of
    the level below to each level, and divides by √2; ``orig`` does neither. A style belongs to a layer, and the image
    of a level shares that of the next one's first layer.

    Source: Karras et al. 2020 (arXiv:1912.04958), sec. 4.1 and fig. 7.

    Args:
        image_channels: C.
        base: (h, w) of the base map.
        channels: Of the maps of each level, from the base on.
        w_dim: Length of a style vector.
        architecture: ``skip``, ``resnet`` or ``orig``.
        noise: Whether there is noise.
        taps: Of the filter.
        clamp: Largest absolute value of maps, or None.

    Shape: ws (B, 2·levels + 2, w_dim) -> (B, C, H, W).
    """

    def __init__(
        self,
        image_channels: int,
        base: tuple[int, int],
        channels: list[int],
        w_dim: int,
        *,
        architecture: str = "skip",
        noise: bool = True,
        taps: Sequence[float] = (1, 3, 3, 1),
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.w_dim, self.architecture = w_dim, _architecture(architecture)
        sizes = [(base[0] * 2**level, base[1] * 2**level) for level in range(len(channels))]
        self.image_shape = (image_channels, *sizes[-1])
        self.num_ws = 2 * len(channels)
        self.const = nn.Parameter(torch.randn(channels[0], *base))
        layers = [SynthesisLayer(channels[0], channels[0], sizes[0], w_dim, noise=noise, clamp=clamp)]
        for (n, m), size in zip(pairwise(channels), sizes[1:], strict=True):
            layers.append(SynthesisLayer(n, m, size, w_dim, noise=noise, clamp=clamp, taps=taps))
            gain = HALF if architecture == "resnet" else 1.0
            layers.append(SynthesisLayer(m, m, size, w_dim, noise=noise, clamp=clamp, gain=gain))
        self.layers = nn.ModuleList(layers)
        images = channels if architecture == "skip" else channels[-1:]
        self.to_image = nn.ModuleList([ToImage(m, image_channels, w_dim, clamp) for m in images])
        self.skips = nn.ModuleList()
        if architecture == "resnet":
            self.skips.extend([EqualizedConv2d(n, m, 1, bias=False, gain=HALF) for n, m in pairwise(channels)])
        self.upsample = FIRFilter(taps, "up")
        self.noises = [layer.noise for layer in layers] if noise else []
        self.noise_sizes = [sizes[0], *(size for size in sizes[1:] for _ in range(2))] if noise else []
        self.noise_positions = sum(height * width for height, width in self.noise_sizes)

    def forward(self, ws: Tensor, noise: str | Tensor = "random") -> Tensor:
        """Images of styles.

        Args:
            ws: (B, num_ws, w_dim).
            noise: ``random``, ``fixed`` (the stored maps, the same for all images), ``off``, or the numbers
                themselves, (B or 1, ``noise_positions``).

        Raises:
            ValueError: If ws or noise do not fit.
        """
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.w_dim):
            expected = f"(batch, {self.num_ws}, {self.w_dim})"
            raise ValueError(f"expected ws of shape {expected}, got {tuple(ws.shape)}")
        stored = [layer for layer in self.noises if layer is not None]
        maps: Sequence[Tensor | None] = noise_maps(noise, ws, stored, self.noise_sizes) or [None] * len(self.layers)
        styles = ws.unbind(1)
        x = self.layers[0](self.const.expand(ws.shape[0], -1, -1, -1), styles[0], maps[0])
        image = self.to_image[0](x, styles[1]) if self.architecture == "skip" else None
        for i in range(1, len(self.layers), 2):
            skipped = self.upsample(self.skips[i // 2](x)) if self.architecture == "resnet" else None
            x = self.layers[i + 1](self.layers[i](x, styles[i], maps[i]), styles[i + 1], maps[i + 1])
            if skipped is not None:
                x = x + skipped
            if image is not None:
                image = self.upsample(image) + self.to_image[i // 2 + 1](x, styles[i + 2])
        return self.to_image[0](x, styles[-1]) if image is None else image


class Generator(StyleGenerator):
    """The generator of StyleGAN2: mixing, the mean of w and truncation are those of `StyleGenerator`.

    Source: Karras et al. 2020 (arXiv:1912.04958), config F, and 2020 (arXiv:2006.06676) for labels and widths. There
    the highest levels are float16; here ``trainer.precision`` says it for all.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        num_classes: 0 for none.
        latent_dim: Length of z.
        w_dim: Length of w.
        width: Level l has min(width/2^(l+1), ``max_width``) channels: half of what the authors call channel_base,
            16384 from 512 pixels on and 8192 below; or the channels of each level, from the base on.
        max_width: Most channels of a map.
        mapping_layers: Layers of the mapping network.
        mapping_width: Its length in between; None: ``w_dim``.
        mapping_lr_multiplier: Of its learning rate.
        embedding_dim: Length of a label's embedding; None: ``w_dim``.
        style_mixing: Probability, 0 to 1.
        crossover: ``batch`` (published) or ``sample``: what has a crossover of its own.
        w_avg_beta: β, 0 to 1.
        architecture: ``skip`` (published), ``resnet`` or ``orig``, see `Synthesis`.
        noise: Whether there is noise.
        taps: Of the filter of each change of size, see `FIRFilter`.
        clamp: Largest absolute value of maps, 256 in the authors' float16; null: any.

    Shape: z (B, latent_dim), y (B,) -> (B, C, H, W).

    Raises:
        ValueError: If a number is out of range; when called, if z, y, ψ, the cutoff or the noise do not fit.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        latent_dim: int = 512,
        w_dim: int = 512,
        width: int | tuple[int, ...] = 16384,
        max_width: int = 512,
        mapping_layers: int = 8,
        mapping_width: int | None = None,
        mapping_lr_multiplier: float = 0.01,
        embedding_dim: int | None = None,
        style_mixing: float = 0.9,
        crossover: str = "batch",
        w_avg_beta: float = 0.995,
        architecture: str = "skip",
        noise: bool = True,
        taps: tuple[float, ...] = (1.0, 3.0, 3.0, 1.0),
        clamp: float | None = None,
    ) -> None:
        check_positive(image_channels=image_channels, latent_dim=latent_dim, w_dim=w_dim)
        base, levels = doublings(image_size)
        synthesis = Synthesis(
            image_channels, base, channels_of(levels, width, max_width), w_dim,
            architecture=architecture, noise=noise, taps=taps, clamp=_clamp(clamp),
        )  # fmt: skip
        mapping_width = w_dim if mapping_width is None else mapping_width
        mapping = MappingNetwork(
            latent_dim, num_classes, w_dim, layers=mapping_layers, width=mapping_width,
            lr_multiplier=mapping_lr_multiplier, version=2, embedding_dim=embedding_dim,
        )  # fmt: skip
        super().__init__(
            mapping, synthesis, synthesis.num_ws, style_mixing=style_mixing, crossover=crossover, w_avg_beta=w_avg_beta
        )
        self.image_shape = synthesis.image_shape


class Block(nn.Module):
    """A level of the discriminator: 3×3 convolution, then filter and 3×3 convolution of stride 2, leaky relus.

    ``resnet`` adds filter, halving and a 1×1 convolution of what comes in, and divides by √2.

    Shape: (B, in_channels, H, W) -> (B, out_channels, H/2, W/2).
    """

    def __init__(
        self, in_channels: int, out_channels: int, architecture: str, taps: Sequence[float], clamp: float | None
    ) -> None:
        super().__init__()
        gain = HALF if architecture == "resnet" else 1.0
        self.clamps = None if clamp is None else (clamp, clamp * gain)
        self.conv1 = EqualizedConv2d(in_channels, in_channels, 3, bias_gain=GAIN)
        self.conv2 = DownConv2d(in_channels, out_channels, taps, gain)
        self.skip = EqualizedConv2d(in_channels, out_channels, 1, bias=False, gain=HALF) if gain != 1 else None
        self.downsample = FIRFilter(taps, "down")

    def forward(self, x: Tensor) -> Tensor:
        first, last = self.clamps or (None, None)
        h = _activated(self.conv2(_activated(self.conv1(x), first)), last)
        return h if self.skip is None else h + self.skip(self.downsample(x))


class DownConv2d(EqualizedConv2d):
    """Filter, and then a 3×3 convolution of stride 2, with equalized learning rate and a gain of weight and bias √2·g.

    Shape: (B, C, H, W) -> (B, C', H/2, W/2).
    """

    def __init__(self, in_channels: int, out_channels: int, taps: Sequence[float], gain: float) -> None:
        super().__init__(in_channels, out_channels, 3, gain=GAIN * gain, bias_gain=GAIN * gain)
        self.blur = FIRFilter(taps, padding=(1 + (len(taps) - 1) // 2, 1 + (len(taps) - 2) // 2))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.tensors()
        return F.conv2d(self.blur(x), weight, bias, stride=2)


class Discriminator(nn.Module):
    """The discriminator of StyleGAN2.

    1×1 conv, lrelu -> a `Block` for each level above the base -> minibatch standard deviation, conv, lrelu -> dense,
    lrelu -> dense

    ``skip`` adds a 1×1 convolution of the halved image to the map of each level. Conditional: logit = ⟨m(y), h⟩/√n, h
    the last dense layer's output of length n = ``embedding_dim``, m a mapping network of the label's embedding.

    Source: Karras et al. 2020 (arXiv:1912.04958), config F, and 2020 (arXiv:2006.06676) for labels and widths. There
    the highest levels are float16; here ``trainer.precision`` says it for all.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        num_classes: 0 for none.
        width: Level l has min(width/2^(l+1), ``max_width``) channels: half of what the authors call channel_base,
            16384 from 512 pixels on and 8192 below; or the channels of each level, from the base on.
        max_width: Most channels of a map.
        architecture: ``resnet`` (published), ``skip`` or ``orig``.
        stddev_group: Images of a group of the minibatch standard deviation, among the images of a micro-batch on all
            ranks, see `MinibatchStddev`; 0 for none.
        stddev_channels: Its channels.
        embedding_dim: n; None: the channels of the base map.
        mapping_layers: Of the label's mapping network.
        taps: Of the filter of each change of size, see `FIRFilter`.
        clamp: Largest absolute value of maps, 256 in the authors' float16; null: any.

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
        width: int | tuple[int, ...] = 16384,
        max_width: int = 512,
        architecture: str = "resnet",
        stddev_group: int = 4,
        stddev_channels: int = 1,
        embedding_dim: int | None = None,
        mapping_layers: int = 8,
        taps: tuple[float, ...] = (1.0, 3.0, 3.0, 1.0),
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        check_positive(image_channels=image_channels, stddev_channels=stddev_channels)
        base, levels = doublings(image_size)
        channels = channels_of(levels, width, max_width)
        self.image_shape, self.num_classes = (image_channels, *(side * 2**levels for side in base)), num_classes
        self.architecture, self.clamp = _architecture(architecture), _clamp(clamp)
        self.feature_channels = last = channels[0]
        seen = channels if architecture == "skip" else channels[-1:]
        self.from_image = nn.ModuleList([EqualizedConv2d(image_channels, n, 1, bias_gain=GAIN) for n in seen])
        self.blocks = nn.ModuleList([Block(m, n, architecture, taps, self.clamp) for n, m in pairwise(channels)])
        self.downsample = FIRFilter(taps, "down")
        if stddev_group and last % stddev_channels:
            raise ValueError(
                f"expected stddev_channels to divide the {last} channels of the last map, got {stddev_channels}"
            )
        self.stddev = MinibatchStddev(stddev_group, channels=stddev_channels) if stddev_group else None
        self.conv = EqualizedConv2d(last + (stddev_channels if stddev_group else 0), last, 3, bias_gain=GAIN)
        self.dense = EqualizedLinear(last * math.prod(base), last, bias_gain=GAIN)
        length = last if embedding_dim is None else embedding_dim
        check_positive(embedding_dim=length)
        self.output = EqualizedLinear(last, length if num_classes else 1, gain=1.0)
        self.mapping = None
        if num_classes:
            self.mapping = MappingNetwork(0, num_classes, length, layers=mapping_layers, width=length, version=2)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        image, x = x, _activated(self.from_image[-1](x), self.clamp)
        for i, block in reversed(list(enumerate(self.blocks))):
            x = block(x)
            if self.architecture == "skip":
                image = self.downsample(image)
                # the authors' last level, at the base, clamps its image no more
                x = x + _activated(self.from_image[i](image), self.clamp if i else None)
        return x

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        y = check_labels(y, self.num_classes)
        h = features if self.stddev is None else self.stddev(features)
        h = _activated(self.conv(h), self.clamp)
        h = self.output(_activated(self.dense(h.flatten(1))))  # (B, 1 or n)
        return h.squeeze(1) if self.mapping is None else (h * self.mapping(None, y)).sum(1) / math.sqrt(h.shape[1])

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


def _activated(x: Tensor, clamp: float | None = None) -> Tensor:
    x = F.leaky_relu(x, SLOPE, inplace=True)
    return x if clamp is None else x.clamp(-clamp, clamp)


def _clamp(clamp: float | None) -> float | None:
    return None if clamp is None else positive("clamp", clamp)


def _architecture(architecture: str) -> str:
    """Return ``architecture`` if it is one."""
    one_of(architecture, ARCHITECTURES, "architecture")
    return architecture
