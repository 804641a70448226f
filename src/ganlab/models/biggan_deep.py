"""BigGAN-deep: bottleneck blocks, shortcuts that keep channels, z and the class in every block."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.layers.attention import SelfAttention, attention_places
from ganlab.layers.geometry import Doublings, Size, doublings, height_and_width
from ganlab.layers.initialization import initialize
from ganlab.layers.inputs import check_labels, check_latents, check_positive
from ganlab.layers.norm import BatchNorm
from ganlab.layers.pointwise import PointwiseConv2d
from ganlab.layers.resample import UpsampleConv2d, upsample
from ganlab.layers.residual import ProjectionHead
from ganlab.layers.spectral_norm import exempt
from ganlab.models.biggan import FEWEST_DOUBLINGS, condition_norm, discriminator_multiples, generator_multiples

BOTTLENECK = 4


def bottleneck(channels: int) -> int:
    """Channels of the two 3×3 convolutions of a block.

    Raises:
        ValueError: If there are none.
    """
    if channels < BOTTLENECK:
        raise ValueError(
            f"expected at least {BOTTLENECK} channels in each block, got {channels}: make the network wider"
        )
    return channels // BOTTLENECK


class BottleneckUp(nn.Module):
    """Block of the generator: 1×1 down to C/4, two 3×3, 1×1 up to C'; the shortcut drops channels.

    out = conv4(r(norm4(conv3(r(norm3(conv2(up(r(norm2(conv1(r(norm1(x))))))))))))) + up(x[:C'])

    Source: Brock et al. 2019 (arXiv:1809.11096), app. B, fig. 16b.

    Shape: (B, C, H, W) -> (B, C', 2H, 2W), or (B, C', H, W) without ``up``; C' at most C.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Callable[[int], nn.Module], *, up: bool) -> None:
        super().__init__()
        hidden = bottleneck(in_channels)
        self.out_channels, self.up = out_channels, up
        self.norm1 = norm(in_channels)
        self.conv1 = PointwiseConv2d(in_channels, hidden)
        self.norm2 = norm(hidden)
        self.conv2: nn.Conv2d = UpsampleConv2d(hidden, hidden, 3) if up else nn.Conv2d(hidden, hidden, 3, padding=1)
        self.norm3 = norm(hidden)
        self.conv3 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.norm4 = norm(hidden)
        self.conv4 = PointwiseConv2d(hidden, out_channels)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        given = () if condition is None else (condition,)
        h = self.conv1(F.relu(self.norm1(x, *given), inplace=True))
        h = self.conv2(F.relu(self.norm2(h, *given), inplace=True))
        h = self.conv3(F.relu(self.norm3(h, *given), inplace=True))
        h = self.conv4(F.relu(self.norm4(h, *given), inplace=True))
        kept = x[:, : self.out_channels]
        return h + (upsample(kept) if self.up else kept)


class BottleneckDown(nn.Module):
    """Block of the discriminator: 1×1 down to C'/4, two 3×3, 1×1 up to C'; the shortcut adds channels.

    out = conv4(pool(r(conv3(r(conv2(r(conv1(r(x))))))))) + [p, conv_shortcut(p)] with p = pool(x)

    Source: Brock et al. 2019 (arXiv:1809.11096), app. B, fig. 16c.

    Shape: (B, C, H, W) -> (B, C', H/2, W/2), or (B, C', H, W) without ``down``; C' at least C.
    """

    def __init__(self, in_channels: int, out_channels: int, *, down: bool) -> None:
        super().__init__()
        hidden = bottleneck(out_channels)
        self.down = down
        self.conv1 = PointwiseConv2d(in_channels, hidden)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv3 = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.conv4 = PointwiseConv2d(hidden, out_channels)
        added = out_channels - in_channels
        self.shortcut = PointwiseConv2d(in_channels, added) if added else None

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.relu(x))
        h = self.conv2(F.relu(h, inplace=True))
        h = F.relu(self.conv3(F.relu(h, inplace=True)), inplace=True)
        if self.down:
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        return self.conv4(h) + (x if self.shortcut is None else torch.cat([x, self.shortcut(x)], 1))


class Generator(nn.Module):
    """The generator of BigGAN-deep.

    c -> linear -> [``depth`` bottleneck blocks conditioned on c, attention where asked] -> BN, relu, convolution, tanh

    c = [shared(y), z]. For each doubling the last block doubles the map and drops channels, the others
    keep both. Without hierarchical latents the linear layer sees z alone and the blocks shared(y).

    Source: Brock et al. 2019 (arXiv:1809.11096), app. B, fig. 16, tab. 7 to 9.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least three times.
        image_channels: C.
        num_classes: 0 for none.
        latent_dim: Length of z.
        width: Channels of the largest map are once or more this (the paper's ch).
        depth: Blocks for each doubling.
        hierarchical: Whether the blocks see z.
        shared_dim: Length of the classes' embedding, which all layers share.
        attention: Heights of the maps that attention follows; 0 for none; None for 64 if there is one.
        initialization: ``orthogonal``, ``normal`` or ``xavier``.
        norm_eps: ε of the conditional batch norms; the released weights have 1e-4, there in all.
        output_norm_eps: ε of the last batch norm.
        stored_variance: ``unbiased`` or ``biased`` running variance.

    Shape: z (B, latent_dim), y (B,) -> (B, C, H, W).

    Raises:
        ValueError: If the size or attention cannot be; when called, if z or y do not fit.
    """

    image_sizes = Doublings(FEWEST_DOUBLINGS)
    spectral_normalization = True

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        latent_dim: int = 128,
        width: int = 64,
        depth: int = 2,
        hierarchical: bool = True,
        shared_dim: int = 128,
        attention: int | tuple[int, ...] | None = None,
        initialization: str = "orthogonal",
        norm_eps: float = 1e-5,
        output_norm_eps: float = 1e-5,
        stored_variance: str = "unbiased",
    ) -> None:
        super().__init__()
        check_positive(
            width=width, latent_dim=latent_dim, image_channels=image_channels, shared_dim=shared_dim, depth=depth
        )
        self.base, count = doublings(image_size, least=FEWEST_DOUBLINGS)
        self.image_shape = (image_channels, *height_and_width(image_size))
        self.latent_dim, self.num_classes, self.hierarchical = latent_dim, num_classes, hierarchical
        # Spectral norm on this embedding cripples the generator, so the published network has none.
        self.embedding = exempt(nn.Embedding(num_classes, shared_dim)) if num_classes else None
        class_dim = shared_dim if num_classes else 0
        condition_dim = class_dim + (latent_dim if hierarchical else 0)
        norm = condition_norm(0, condition_dim, eps=norm_eps, stored_variance=stored_variance)
        channels = [width * multiple for multiple in generator_multiples(count)]
        heights = [self.base[0] * 2 ** (i + 1) for i in range(count)]
        places = attention_places(attention, heights)
        self.linear = nn.Linear(condition_dim if hierarchical else latent_dim, channels[0] * math.prod(self.base))
        self.blocks = nn.ModuleList()
        self.attentions = nn.ModuleDict()
        for i, (n, m) in enumerate(pairwise(channels)):
            self.blocks.extend(BottleneckUp(n, n, norm, up=False) for _ in range(depth - 1))
            self.blocks.append(BottleneckUp(n, m, norm, up=True))
            if i in places:
                self.attentions[str(len(self.blocks) - 1)] = SelfAttention(m)
        self.output_norm = BatchNorm(channels[-1], eps=output_norm_eps, stored_variance=stored_variance)
        self.output = nn.Conv2d(channels[-1], image_channels, 3, padding=1)
        initialize(self, initialization)

    def embed(self, y: Tensor | None) -> Tensor | None:
        """The class's embedding (B, shared_dim), an argument of `synthesize`; interpolate between two of these."""
        y = check_labels(y, self.num_classes)
        return None if self.embedding is None else self.embedding(y)

    def synthesize(self, z: Tensor, embedded: Tensor | None) -> Tensor:
        """Images from latents (B, latent_dim) and what `embed` made of labels."""
        check_latents(z, self.latent_dim)
        condition = embedded
        if self.hierarchical:
            condition = z = z if embedded is None else torch.cat([embedded, z], 1)
        h = self.linear(z).unflatten(1, (-1, *self.base))  # (B, C, h, w)
        for i, block in enumerate(self.blocks):
            h = block(h, condition)
            if str(i) in self.attentions:
                h = self.attentions[str(i)](h)
        return torch.tanh(self.output(F.relu(self.output_norm(h), inplace=True)))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.synthesize(z, self.embed(y))


class Discriminator(nn.Module):
    """The discriminator of BigGAN-deep.

    3×3 convolution -> [``depth`` bottleneck blocks, attention where asked] -> relu, sum, linear + projection

    The first block of each stage halves the map and adds channels, the others keep both. Up to 48
    pixels it is the CIFAR network's plan: the last stage does not halve the map.

    Source: Brock et al. 2019 (arXiv:1809.11096), app. B, fig. 16, tab. 7 to 9.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least three times.
        image_channels: C.
        num_classes: With classes a projection is added to the logit; 0 for none.
        width: Channels of the first convolution are once or more this (the paper's ch).
        depth: Blocks a stage.
        attention: Heights of the maps that attention follows; 0 for none; None for 64 if there is one.
        initialization: ``orthogonal``, ``normal`` or ``xavier``.

    Shape: x (B, C, H, W), y (B,) -> features (B, feature_channels, h, w), logits (B,).

    Raises:
        ValueError: If the size or attention cannot be; when called, if y is missing.
    """

    image_sizes = Doublings(FEWEST_DOUBLINGS)
    spectral_normalization = True

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        width: int = 64,
        depth: int = 2,
        attention: int | tuple[int, ...] | None = None,
        initialization: str = "orthogonal",
    ) -> None:
        super().__init__()
        check_positive(width=width, image_channels=image_channels, depth=depth)
        _, count = doublings(image_size, least=FEWEST_DOUBLINGS)
        self.image_shape = (image_channels, *height_and_width(image_size))
        self.num_classes = num_classes
        channels = [width * multiple for multiple in discriminator_multiples(count)]
        self.feature_channels = channels[-1]
        halvings = count - 1 if count <= FEWEST_DOUBLINGS else count
        heights = [self.image_shape[1] >> min(i + 1, halvings) for i in range(count)]
        places = attention_places(attention, heights)
        self.input = nn.Conv2d(image_channels, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        self.attentions = nn.ModuleDict()
        for i, (n, m) in enumerate(pairwise(channels)):
            self.blocks.append(BottleneckDown(n, m, down=i < halvings))
            self.blocks.extend(BottleneckDown(m, m, down=False) for _ in range(depth - 1))
            if i in places:
                self.attentions[str(len(self.blocks) - 1)] = SelfAttention(m)
        self.head = ProjectionHead(channels[-1], num_classes)
        initialize(self, initialization)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.input(x)
        for i, block in enumerate(self.blocks):
            h = block(h)
            if str(i) in self.attentions:
                h = self.attentions[str(i)](h)
        return h

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)
