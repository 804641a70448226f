"""SAGAN: SNGAN with self-attention, and with ``reg=sn`` spectral norm in both networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.layers.attention import SelfAttention, attention_places
from ganlab.layers.geometry import Doublings, Size, doublings
from ganlab.layers.initialization import initialize
from ganlab.layers.inputs import check_labels, check_latents
from ganlab.models import sngan


def usual_attention(image_size: Size) -> int:
    """A quarter of the image's height, 32 at 128 as in the paper, but at least twice the base's."""
    base, count = doublings(image_size, least=2)
    return base[0] * 2 ** max(count - 2, 1)


class Generator(sngan.Generator):
    """The generator of SAGAN: that of SNGAN, with self-attention after some blocks.

    Source: Zhang et al. 2019 (arXiv:1805.08318), sec. 3 and 5.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least twice.
        image_channels: C.
        num_classes: 0 for none.
        latent_dim: Length of z.
        width: Channels of the largest map.
        growth: 2 doubles the channels with each halving of the map, up to 16·width; 1 keeps them.
        attention: Heights of the maps that attention follows; 0 for none; None for a quarter of the image's.
        upsampling: ``nearest``, or ``bilinear``.
        initialization: ``xavier`` (gain √2 in the blocks), ``orthogonal`` or ``normal``.
        norm_eps: ε of batch norm.

    Shape: z (B, latent_dim), y (B,) -> (B, C, H, W).

    Raises:
        ValueError: If the size or attention cannot be or an option is unknown; when called, if z or y do not fit.
    """

    image_sizes = Doublings(2)
    spectral_normalization = True

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        latent_dim: int = 128,
        width: int = 64,
        growth: int = 2,
        attention: int | tuple[int, ...] | None = None,
        upsampling: str = "nearest",
        initialization: str = "xavier",
        norm_eps: float = 1e-5,
    ) -> None:
        attention = usual_attention(image_size) if attention is None else attention
        super().__init__(
            image_size,
            image_channels,
            num_classes,
            latent_dim=latent_dim,
            width=width,
            growth=growth,
            upsampling=upsampling,
            initialization=initialization,
            norm_eps=norm_eps,
        )
        count = len(self.blocks)
        channels = sngan.widths(count, width, growth)[::-1]
        heights = [self.base[0] * 2 ** (i + 1) for i in range(count)]
        places = attention_places(attention, heights)
        self.attentions = nn.ModuleDict({str(i): SelfAttention(channels[i]) for i in places})
        initialize(self.attentions, initialization)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        check_latents(z, self.latent_dim)
        y = check_labels(y, self.num_classes)
        h = self.linear(z).unflatten(1, (-1, *self.base))  # (B, C, h, w)
        for i, block in enumerate(self.blocks):
            h = block(h, y)
            if str(i) in self.attentions:
                h = self.attentions[str(i)](h)
        return torch.tanh(self.output(F.relu(self.output_norm(h), inplace=True)))


class Discriminator(sngan.Discriminator):
    """The discriminator of SAGAN: that of SNGAN, with self-attention after some blocks.

    Source: Zhang et al. 2019 (arXiv:1805.08318), sec. 3 and 5.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least twice.
        image_channels: C.
        num_classes: With classes a projection is added to the logit; 0 for none.
        width: Channels of the first block.
        growth: 2 doubles the channels from block to block, up to 16·width; 1 keeps them.
        attention: Heights of the maps that attention follows; 0 for none; None for a quarter of the image's.
        halvings: Blocks that halve the map; None halves it down to the base, 4 to 15 pixels.
        plain_blocks: Blocks that keep the map, at the end.
        wide: Whether the first convolution of a block changes the number of channels, and not the second.
        shortcut_activation: Whether the shortcuts start behind the block's first relu: an in-place
            relu of one published code makes them. The paper's do not.
        initialization: ``xavier`` (gain √2 in the blocks), ``orthogonal`` or ``normal``.

    Shape: x (B, C, H, W), y (B,) -> features (B, feature_channels, h, w), logits (B,).

    Raises:
        ValueError: If the size or attention cannot be or an option is unknown; when called, if y is missing.
    """

    image_sizes = Doublings(2)
    spectral_normalization = True

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        width: int = 64,
        growth: int = 2,
        attention: int | tuple[int, ...] | None = None,
        halvings: int | None = None,
        plain_blocks: int = 1,
        wide: bool = True,
        shortcut_activation: bool = False,
        initialization: str = "xavier",
    ) -> None:
        attention = usual_attention(image_size) if attention is None else attention
        super().__init__(
            image_size,
            image_channels,
            num_classes,
            width=width,
            growth=growth,
            halvings=halvings,
            plain_blocks=plain_blocks,
            wide=wide,
            shortcut_activation=shortcut_activation,
            initialization=initialization,
        )
        channels = sngan.widths(len(self.blocks), width, growth)
        halved = len(self.blocks) - plain_blocks
        heights = [self.image_shape[1] >> min(i + 1, halved) for i in range(len(self.blocks))]
        places = attention_places(attention, heights)
        self.attentions = nn.ModuleDict({str(i): SelfAttention(channels[i]) for i in places})
        initialize(self.attentions, initialization)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        for i, block in enumerate(self.blocks):
            x = block(x)
            if str(i) in self.attentions:
                x = self.attentions[str(i)](x)
        return x
