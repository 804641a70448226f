"""BigGAN: hierarchical latents, a shared class embedding, attention and projection."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ganlab.core.checks import at_least
from ganlab.core.errors import one_of
from ganlab.layers.attention import SelfAttention, attention_places
from ganlab.layers.geometry import Doublings, Size, doublings, height_and_width
from ganlab.layers.initialization import initialize
from ganlab.layers.inputs import check_labels, check_latents, check_positive
from ganlab.layers.norm import BatchNorm, ConditionalBatchNorm
from ganlab.layers.residual import DiscriminatorBlock, GeneratorBlock, ProjectionHead
from ganlab.layers.spectral_norm import exempt

FEWEST_DOUBLINGS = 3


def generator_multiples(count: int) -> list[int]:
    """Channels of the maps in units of ``width``, from the base on, for ``count`` doublings.

    Halves with each doubling but the first, from 16 down to at least 1; with six or more doublings
    the third keeps its 8 as well. Up to three doublings are the CIFAR network, 4 throughout.

    Source: Brock et al. 2019 (arXiv:1809.11096), tab. 4 to 6 for 128, 256 and 512.
    """
    if count <= FEWEST_DOUBLINGS:
        return [4] * (count + 1)
    kept = {1, 3} if count >= 6 else {1}
    multiples = [16]
    for doubling in range(1, count + 1):
        multiples.append(multiples[-1] if doubling in kept else max(1, multiples[-1] // 2))
    return multiples


def discriminator_multiples(count: int) -> list[int]:
    """Channels of the blocks in units of ``width``, from the image on: the generator's, mirrored.

    It begins at 1 with four doublings too, so it is the beginning of the network for five.
    """
    if count <= FEWEST_DOUBLINGS:
        return generator_multiples(count)
    return generator_multiples(max(count, 5))[::-1][: count + 1]


def condition_norm(num_classes: int, condition_dim: int, **options: Any) -> Callable[[int], nn.Module]:
    """Batch norm of a block: by a condition of this length, or by the class where it is 0, or plain."""
    if condition_dim:
        return partial(ConditionalBatchNorm, condition_dim=condition_dim, **options)
    if num_classes:
        return partial(ConditionalBatchNorm, num_classes=num_classes, **options)
    return partial(BatchNorm, **options)


def _normalize_weights(network: nn.Module) -> None:
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.Linear):
            parametrizations.weight_norm(module)


class Generator(nn.Module):
    """The generator of BigGAN.

    z₀ -> linear -> [residual block conditioned on cᵢ, attention where asked] -> BN, relu, convolution, tanh

    cᵢ = [shared(y), zᵢ] with hierarchical latents, where z = [z₀, z₁, ...] in equal parts, one for the
    linear layer and one for each block; shared(y) without them. Gain and offset of each batch norm in
    a block are linear in cᵢ, gain around 1. Without the shared embedding y is its class's unit vector,
    so each layer has an embedding of its own. Without anything to condition on, batch norm is plain.

    Source: Brock et al. 2019 (arXiv:1809.11096), app. B, fig. 15, tab. 4 to 6.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least three times.
        image_channels: C.
        num_classes: 0 for none.
        latent_dim: Length of z; rounded down to a multiple of the number of parts.
        width: Channels of the largest map are once or more this (the paper's ch).
        hierarchical: Whether each block sees its part of z.
        shared_embedding: Whether classes have one embedding for all layers.
        shared_dim: Its length.
        attention: Heights of the maps that attention follows; 0 for none; None for 64 if there is one.
        kernel_size: Of the blocks' convolutions, odd. 5 and 7 did not help the paper.
        dilation: Of the blocks' convolutions. Nor did this.
        upsampling: ``nearest`` or ``bilinear``. Nor did that.
        extra_blocks: Blocks that keep map and channels, after each block, with its part of z. Nor did one.
        weight_norm: Weight normalization of every convolution and linear map (Salimans & Kingma 2016,
            arXiv:1602.07868), instead of spectral norm. Nor did it.
        initialization: ``orthogonal``, ``normal`` or ``xavier``.
        norm_eps: ε of the conditional batch norms; that of the last one is 1e-5.
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
        latent_dim: int = 120,
        width: int = 64,
        hierarchical: bool = True,
        shared_embedding: bool = True,
        shared_dim: int = 128,
        attention: int | tuple[int, ...] | None = None,
        kernel_size: int = 3,
        dilation: int = 1,
        upsampling: str = "nearest",
        extra_blocks: int = 0,
        weight_norm: bool = False,
        initialization: str = "orthogonal",
        norm_eps: float = 1e-5,
        stored_variance: str = "unbiased",
    ) -> None:
        super().__init__()
        check_positive(width=width, latent_dim=latent_dim, image_channels=image_channels)
        check_positive(shared_dim=shared_dim, kernel_size=kernel_size, dilation=dilation)
        at_least("extra_blocks", extra_blocks, 0)
        self.base, count = doublings(image_size, least=FEWEST_DOUBLINGS)
        self.image_shape = (image_channels, *height_and_width(image_size))
        self.num_classes, self.hierarchical = num_classes, hierarchical
        parts = count + 1 if hierarchical else 1
        if latent_dim < parts:
            raise ValueError(f"expected latent_dim to be at least {parts}, one a part of z, got {latent_dim}")
        self.part = latent_dim // parts
        self.latent_dim = self.part * parts

        shared = shared_embedding and num_classes > 0
        # Spectral norm on this embedding cripples the generator, so the published network has none.
        self.embedding = exempt(nn.Embedding(num_classes, shared_dim)) if shared else None
        embedded = shared_dim if shared else num_classes
        condition_dim = shared_dim if shared else 0
        if hierarchical:
            condition_dim = embedded + self.part
        norm = condition_norm(num_classes, condition_dim, eps=norm_eps, stored_variance=stored_variance)
        block = partial(GeneratorBlock, norm=norm, kernel_size=kernel_size, dilation=dilation)

        channels = [width * multiple for multiple in generator_multiples(count)]
        heights = [self.base[0] * 2 ** (i + 1) for i in range(count)]
        places = attention_places(attention, heights)
        self.linear = nn.Linear(self.part, channels[0] * math.prod(self.base))
        self.blocks = nn.ModuleList(block(n, m, upsampling=upsampling) for n, m in pairwise(channels))
        self.extra_blocks = nn.ModuleList(block(m, m, doubles=False) for m in channels[1:] for _ in range(extra_blocks))
        self.extra = extra_blocks
        self.attentions = nn.ModuleDict({str(i): SelfAttention(channels[i + 1]) for i in places})
        self.output_norm = BatchNorm(channels[-1], stored_variance=stored_variance)
        self.output = nn.Conv2d(channels[-1], image_channels, kernel_size, padding=kernel_size // 2)
        initialize(self, initialization)
        self.spectral_normalization = not weight_norm
        if weight_norm:
            _normalize_weights(self)

    def embed(self, y: Tensor | None) -> Tensor | None:
        """The class's embedding (B, shared_dim), an argument of `synthesize`; interpolate between two of these.

        Without a shared embedding it is the label, or its unit vector if it is joined with parts of z.
        """
        y = check_labels(y, self.num_classes)
        if self.embedding is not None:
            return self.embedding(y)
        if y is None or not self.hierarchical:
            return y
        return F.one_hot(y, self.num_classes).to(self.output_norm.weight.dtype)

    def synthesize(self, z: Tensor, embedded: Tensor | None) -> Tensor:
        """Images from latents (B, latent_dim) and what `embed` made of labels."""
        check_latents(z, self.latent_dim)
        first, *rest = z.split(self.part, dim=1)
        h = self.linear(first).unflatten(1, (-1, *self.base))  # (B, C, h, w)
        for i, block in enumerate(self.blocks):
            condition = embedded
            if rest:
                condition = rest[i] if embedded is None else torch.cat([embedded, rest[i]], 1)
            for each in (block, *self.extra_blocks[i * self.extra : (i + 1) * self.extra]):
                h = each(h, condition)
            if str(i) in self.attentions:
                h = self.attentions[str(i)](h)
        return torch.tanh(self.output(F.relu(self.output_norm(h), inplace=True)))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.synthesize(z, self.embed(y))


class Discriminator(nn.Module):
    """The discriminator of BigGAN.

    [residual block, attention where asked] for each halving, and one more -> relu, sum, linear + projection

    Up to 48 pixels it is the CIFAR network: as many blocks, of which the last two keep the map.

    Source: Brock et al. 2019 (arXiv:1809.11096), app. B, fig. 15, tab. 4 to 6.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least three times.
        image_channels: C.
        num_classes: With classes a projection is added to the logit; 0 for none.
        width: Channels of the first block are once or more this (the paper's ch).
        attention: Heights of the maps that attention follows; 0 for none; None for 64 if there is one.
        kernel_size: Of the blocks' convolutions, odd.
        dilation: Of the blocks' convolutions.
        extra_blocks: Blocks that keep map and channels, after each block; one did not help the paper.
        normalization: ``none``; ``batch`` or ``conditional`` batch norm before each relu of the blocks,
            which did not help the paper.
        initialization: ``orthogonal``, ``normal`` or ``xavier``.

    Shape: x (B, C, H, W), y (B,) -> features (B, feature_channels, h, w), logits (B,).

    Raises:
        ValueError: If the size, attention or normalization cannot be; when called, if y is missing.
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
        attention: int | tuple[int, ...] | None = None,
        kernel_size: int = 3,
        dilation: int = 1,
        extra_blocks: int = 0,
        normalization: str = "none",
        initialization: str = "orthogonal",
    ) -> None:
        super().__init__()
        check_positive(width=width, image_channels=image_channels, kernel_size=kernel_size, dilation=dilation)
        at_least("extra_blocks", extra_blocks, 0)
        one_of(normalization, ("none", "batch", "conditional"), "normalization")
        if normalization == "conditional" and num_classes == 0:
            raise ValueError("expected classes for normalization=conditional, got none: take batch")
        _, count = doublings(image_size, least=FEWEST_DOUBLINGS)
        self.image_shape = (image_channels, *height_and_width(image_size))
        self.num_classes, self.conditional = num_classes, normalization == "conditional"

        norms: dict[str, Any] = {
            "none": None,
            "batch": BatchNorm,
            "conditional": partial(ConditionalBatchNorm, num_classes=num_classes),
        }
        block = partial(DiscriminatorBlock, kernel_size=kernel_size, dilation=dilation, norm=norms[normalization])
        channels = [width * multiple for multiple in discriminator_multiples(count)]
        self.feature_channels = channels[-1]
        halvings = count - 1 if count <= FEWEST_DOUBLINGS else count
        heights = [self.image_shape[1] >> min(i + 1, halvings) for i in range(len(channels))]
        places = attention_places(attention, heights)
        self.blocks = nn.ModuleList(
            block(n, m, m, first=i == 0, downsample=i < halvings)
            for i, (n, m) in enumerate(pairwise([image_channels, *channels]))
        )
        self.extra = extra_blocks
        self.extra_blocks = nn.ModuleList(
            block(m, m, m, downsample=False) for m in channels for _ in range(extra_blocks)
        )
        self.attentions = nn.ModuleDict({str(i): SelfAttention(channels[i]) for i in places})
        self.head = ProjectionHead(channels[-1], num_classes)
        initialize(self, initialization)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        condition = check_labels(y, self.num_classes) if self.conditional else None
        for i, block in enumerate(self.blocks):
            for each in (block, *self.extra_blocks[i * self.extra : (i + 1) * self.extra]):
                x = each(x, condition)
            if str(i) in self.attentions:
                x = self.attentions[str(i)](x)
        return x

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)
