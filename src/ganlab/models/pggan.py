"""Progressive GAN: growing networks with equalized learning rate, pixel norm and minibatch standard deviation."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.core.errors import one_of
from ganlab.layers.equalized import GAIN, EqualizedConv2d, EqualizedLinear, EqualizedUpsampleConv2d
from ganlab.layers.geometry import Doublings, Size, doublings
from ganlab.layers.growing import Growing
from ganlab.layers.growing_discriminator import GrowingDiscriminator
from ganlab.layers.inputs import check_labels, check_latents, check_positive
from ganlab.layers.minibatch_stddev import MinibatchStddev
from ganlab.layers.pixel_norm import pixel_norm
from ganlab.layers.resample import upsample
from ganlab.layers.widths import channels_of

VARIANTS = ("original", "gan_zoo")


class Generator(Growing):
    """The generator of Progressive GAN.

    [z, one-hot y] -> PN -> dense, lrelu, PN -> conv, lrelu, PN -> [up and conv, lrelu, PN, conv, lrelu, PN] for each
    level up to the present one -> 1×1 conv to the image, without an activation

    While a level fades in, the image is old + alpha·(new − old), with old the image of the level below, doubled.

    Source: Karras et al. 2018 (arXiv:1710.10196), sec. 2, 4 and tab. 2; labels as in the authors' code. Leaky relus
    of slope 0.2; PN is pixel norm; convolutions are 3×3. ``gan_zoo`` is as pytorch_GAN_zoo has it, for its
    checkpoints: a bias for each number of the base map instead of each channel, biases scaled as weights are, and
    gain √2 in the first and last layers too.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        num_classes: 0 for none.
        latent_dim: Length of z.
        width: Level l has min(width/2^(l+1), ``max_width``) channels (the paper's 8192, also called fmap_base); or
            the channels of each level, from the base on.
        max_width: Most channels of a map.
        variant: ``original`` or ``gan_zoo``.

    Shape: z (B, latent_dim), y (B,) -> (B, C, H, W) of ``image_size_at(level)``.

    Raises:
        ValueError: If the size or width cannot be; when called, if z or y do not fit.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        latent_dim: int = 512,
        width: int | tuple[int, ...] = 8192,
        max_width: int = 512,
        variant: str = "original",
    ) -> None:
        check_positive(latent_dim=latent_dim, image_channels=image_channels)
        one_of(variant, VARIANTS, "variant")
        super().__init__(image_channels, *doublings(image_size))
        self.latent_dim, self.num_classes = latent_dim, num_classes
        channels = channels_of(self.levels, width, max_width)
        zoo, positions = variant == "gan_zoo", math.prod(self.base)
        # The paper's first layer is a convolution whose fan-in counts each position of the map it fills.
        gain = GAIN if zoo else GAIN / math.sqrt(positions)
        self.dense = EqualizedLinear(
            latent_dim + num_classes, channels[0] * positions, bias=zoo, gain=gain, scaled_bias=zoo
        )
        self.dense_bias = None if zoo else nn.Parameter(torch.zeros(channels[0]))
        self.conv = EqualizedConv2d(channels[0], channels[0], 3, scaled_bias=zoo)
        self.ups = nn.ModuleList([EqualizedUpsampleConv2d(n, m, 3, scaled_bias=zoo) for n, m in pairwise(channels)])
        self.convs = nn.ModuleList([EqualizedConv2d(m, m, 3, scaled_bias=zoo) for m in channels[1:]])
        self.to_image = nn.ModuleList(
            [EqualizedConv2d(m, image_channels, 1, gain=GAIN if zoo else 1.0, scaled_bias=zoo) for m in channels]
        )

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        check_latents(z, self.latent_dim)
        y = check_labels(y, self.num_classes)
        if y is not None:
            z = torch.cat([z, F.one_hot(y, self.num_classes).to(z.dtype)], 1)
        x = self.dense(pixel_norm(z)).unflatten(1, (-1, *self.base))  # (B, C, h, w)
        if self.dense_bias is not None:
            x = x + self.dense_bias.view(-1, 1, 1)
        x = _activated(self.conv(_activated(x)))
        old = x
        for up, conv in zip(self.ups[: self.level], self.convs, strict=False):
            old, x = x, _activated(conv(_activated(up(x))))
        image = self.to_image[self.level](x)
        if self._fades:
            image = self.blend(upsample(self.to_image[self.level - 1](old)), image)
        return image


def _activated(x: Tensor) -> Tensor:
    return pixel_norm(F.leaky_relu(x, 0.2, inplace=True))


class Discriminator(GrowingDiscriminator):
    """The discriminator of Progressive GAN.

    1×1 conv from the image, lrelu -> [conv, lrelu, conv and 2×2 mean, lrelu] for each level from the present one down
    -> minibatch standard deviation, conv, lrelu -> dense, lrelu -> dense

    While a level fades in, the map below it is old + alpha·(new − old), with old that of the halved image.
    Conditional: the last layer has a number for each class besides the logit, and that of the image's class is added
    to it, so it is the projection of Miyato & Koyama 2018 (arXiv:1802.05637). The authors' discriminator sees no
    labels: there those numbers are the class logits of an auxiliary loss.

    Source: Karras et al. 2018 (arXiv:1710.10196), sec. 2 to 4 and tab. 2. ``gan_zoo`` is as pytorch_GAN_zoo has it,
    for its checkpoints: its minibatch standard deviation, biases scaled as weights are, gain √2 in the last layer
    too, means after the leaky relu, and no blending while the first level fades in.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        num_classes: 0 for none.
        width: Level l has min(width/2^(l+1), ``max_width``) channels (the paper's 8192, also called fmap_base); or
            the channels of each level, from the base on.
        max_width: Most channels of a map.
        stddev_group: Images of a group of the minibatch standard deviation, among the images of a micro-batch on all
            ranks, see `MinibatchStddev`; 0 for none.
        fused: Whether the 2×2 mean is part of the convolution, before the leaky relu, as it is by default in the
            authors' code; False: it follows the leaky relu, as in their older networks (``fused_scale=False``).
        variant: ``original`` or ``gan_zoo``.

    Shape: x (B, C, H, W) of ``image_size_at(level)``, y (B,) -> features (B, feature_channels, h, w), logits (B,).

    Raises:
        ValueError: If the size or width cannot be; when called, if x does not fit or y is missing.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        width: int | tuple[int, ...] = 8192,
        max_width: int = 512,
        stddev_group: int = 4,
        fused: bool = True,
        variant: str = "original",
    ) -> None:
        check_positive(image_channels=image_channels)
        one_of(variant, VARIANTS, "variant")
        base, levels = doublings(image_size)
        channels = channels_of(levels, width, max_width)
        zoo = variant == "gan_zoo"
        super().__init__(
            image_channels,
            base,
            channels,
            hidden=min(width, max_width) if isinstance(width, int) and not zoo else channels[0],
            outputs=1 + num_classes,
            output_gain=GAIN if zoo else 1.0,
            stddev=MinibatchStddev(stddev_group, variant) if stddev_group else None,
            scaled_bias=zoo,
            pools_last=zoo or not fused,
            blends_first_level=not zoo,
        )
        self.num_classes = num_classes

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        y = check_labels(y, self.num_classes)
        outputs = self.outputs(features)
        logits = outputs[:, 0]
        return logits if y is None else logits + outputs[:, 1:].gather(1, y[:, None])[:, 0]
