"""The discriminator that Progressive GAN and StyleGAN share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.layers.equalized import EqualizedConv2d, EqualizedDownsampleConv2d, EqualizedLinear
from ganlab.layers.fir import FIRFilter
from ganlab.layers.growing import Growing
from ganlab.layers.minibatch_stddev import MinibatchStddev

SLOPE = 0.2


class GrowingDiscriminator(Growing):
    """1×1 conv from the image -> [conv, (blur,) conv and 2×2 mean] for each level down -> minibatch standard
    deviation, conv -> dense -> dense, with leaky relus of slope 0.2 in between.

    While a level fades in, the map below it is old + alpha·(new − old), with old that of the halved image. A family
    says in its ``head`` what the numbers of the last layer mean.

    Args:
        image_channels: C.
        base: (h, w) of the base map.
        channels: Of the maps of each level, from the base on.
        hidden: Length of the first dense layer's output.
        outputs: Length of the last one's.
        output_gain: Its gain.
        stddev: The minibatch standard deviation, or None.
        blur: Whether the second convolution of a level is preceded by a blur with [1, 2, 1].
        scaled_bias: Whether biases are scaled as weights are.
        pools_last: Whether means are taken after the leaky relu instead of before it.
        blends_first_level: Whether it blends while level 1 fades in.

    Shape: x (B, C, H, W) of ``image_size_at(level)`` -> features (B, feature_channels, h, w).
    """

    def __init__(
        self,
        image_channels: int,
        base: tuple[int, int],
        channels: Sequence[int],
        *,
        hidden: int,
        outputs: int,
        output_gain: float = 1.0,
        stddev: MinibatchStddev | None = None,
        blur: bool = False,
        scaled_bias: bool = False,
        pools_last: bool = False,
        blends_first_level: bool = True,
    ) -> None:
        super().__init__(image_channels, base, len(channels) - 1)
        self.feature_channels = channels[0]
        self.pools_last, self.blends_first_level = pools_last, blends_first_level
        self.from_image = nn.ModuleList(
            [EqualizedConv2d(image_channels, m, 1, scaled_bias=scaled_bias) for m in channels]
        )
        self.convs = nn.ModuleList([EqualizedConv2d(m, m, 3, scaled_bias=scaled_bias) for m in channels[1:]])
        down = EqualizedConv2d if pools_last else EqualizedDownsampleConv2d
        self.downs = nn.ModuleList([down(m, n, 3, scaled_bias=scaled_bias) for n, m in pairwise(channels)])
        self.blur = FIRFilter() if blur else None
        self.stddev = stddev
        self.conv = EqualizedConv2d(channels[0] + (stddev is not None), channels[0], 3, scaled_bias=scaled_bias)
        self.dense = EqualizedLinear(channels[0] * math.prod(base), hidden, scaled_bias=scaled_bias)
        self.output = EqualizedLinear(hidden, outputs, gain=output_gain, scaled_bias=scaled_bias)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        self.check_images(x)
        level = self.level
        h = _activated(self.from_image[level](x))
        for i in reversed(range(level)):
            h = _activated(self.convs[i](h))
            if self.blur is not None:
                h = self.blur(h)
            h = _activated(self.downs[i](h))
            if self.pools_last:
                h = F.avg_pool2d(h, 2)
            if self._fades and i == level - 1 and (level > 1 or self.blends_first_level):
                h = self.blend(_activated(self.from_image[i](F.avg_pool2d(x, 2))), h)
        return _activated(self.conv(h if self.stddev is None else self.stddev(h)))

    def outputs(self, features: Tensor) -> Tensor:
        """The last layer's numbers (B, outputs)."""
        return self.output(_activated(self.dense(features.flatten(1))))  # (B, outputs)

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits (B,) of features."""
        raise NotImplementedError

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


def _activated(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE, inplace=True)
