"""DCGAN: strided convolutions with batch norm, for images from 8 pixels on."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.core.checks import at_least
from ganlab.layers.geometry import Doublings, Size, doublings
from ganlab.layers.initialization import initialize
from ganlab.layers.inputs import check_labels, check_latents, check_positive
from ganlab.layers.norm import BatchNorm


class Generator(nn.Module):
    """The generator of DCGAN.

    z -> linear -> [BN, relu, transposed convolution of stride 2] for each doubling -> tanh

    Channels halve with each doubling down to ``width`` before the last. Conditional: an embedding of
    the label, as long as z, is appended to z (the paper has no classes).

    Source: Radford et al. 2016 (arXiv:1511.06434), sec. 3 and fig. 1; kernels of 4, as in most
    implementations, have no checkerboard of their own, unlike the paper's of 5.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        num_classes: 0 for none.
        latent_dim: Length of z.
        width: Channels of the largest map before the image; the paper has 128 at 64 pixels.
        kernel_size: Side of the kernels, at least 2; the paper's is 5.
        linear_bias: Whether the linear map has a bias, one for each channel and position; batch norm takes away
            its mean alone. Some published codes have it.
        initialization: ``normal`` as in the paper, ``orthogonal`` or ``xavier``.

    Shape: z (B, latent_dim), y (B,) -> (B, C, H, W).

    Raises:
        ValueError: If the size cannot be made; when called, if z or y do not fit.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        latent_dim: int = 100,
        width: int = 64,
        kernel_size: int = 4,
        linear_bias: bool = False,
        initialization: str = "normal",
    ) -> None:
        super().__init__()
        check_positive(width=width, latent_dim=latent_dim, image_channels=image_channels)
        self.base, count = doublings(image_size)
        height, breadth = (side * 2**count for side in self.base)
        self.image_shape = (image_channels, height, breadth)
        self.latent_dim, self.num_classes = latent_dim, num_classes
        widths = [width * 2**i for i in reversed(range(count))]
        padding = (at_least("kernel_size", kernel_size, 2) - 1) // 2
        self.embedding = nn.Embedding(num_classes, latent_dim) if num_classes else None
        inputs = latent_dim * (2 if num_classes else 1)
        self.linear = nn.Linear(inputs, widths[0] * math.prod(self.base), bias=linear_bias)
        self.norms = nn.ModuleList([BatchNorm(channels) for channels in widths])
        self.convs = nn.ModuleList(
            [
                nn.ConvTranspose2d(n, m, kernel_size, 2, padding, kernel_size % 2, bias=i == count - 1)
                for i, (n, m) in enumerate(zip(widths, [*widths[1:], image_channels], strict=True))
            ]
        )
        initialize(self, initialization)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        check_latents(z, self.latent_dim)
        y = check_labels(y, self.num_classes)
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(y)], 1)
        h = self.linear(z).unflatten(1, (-1, *self.base))  # (B, C, h, w)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            h = conv(F.relu(norm(h), inplace=True))
        return torch.tanh(h)


class Discriminator(nn.Module):
    """The discriminator of DCGAN.

    [convolution of stride 2, BN but for the first, leaky relu] for each halving -> linear

    Channels double with each halving, from ``width``. Conditional: logit = w·f + b + ⟨embed(y), Σ f⟩
    with the sum over positions, the projection of Miyato & Koyama 2018 (arXiv:1802.05637).

    Source: Radford et al. 2016 (arXiv:1511.06434), sec. 3; leaky relus of slope 0.2.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        num_classes: 0 for none.
        width: Channels of the largest map.
        kernel_size: Side of the kernels, at least 2; the paper's is 5.
        batch_norm: Whether there is batch norm, as in the paper. Gradient penalties are defined for
            one image at a time, so with them, and with spectral norm, it is usually left out.
        initialization: ``normal`` as in the paper, ``orthogonal`` or ``xavier``.

    Shape: x (B, C, H, W), y (B,) -> features (B, feature_channels, h, w), logits (B,).

    Raises:
        ValueError: If the network cannot have the size; when called, if y is missing.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        width: int = 64,
        kernel_size: int = 4,
        batch_norm: bool = True,
        initialization: str = "normal",
    ) -> None:
        super().__init__()
        check_positive(width=width, image_channels=image_channels)
        base, count = doublings(image_size)
        height, breadth = (side * 2**count for side in base)
        self.image_shape = (image_channels, height, breadth)
        self.num_classes = num_classes
        widths = [width * 2**i for i in range(count)]
        padding = (at_least("kernel_size", kernel_size, 2) - 1) // 2
        self.feature_channels = widths[-1]
        normalized = [batch_norm and i > 0 for i in range(count)]
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(n, m, kernel_size, 2, padding, bias=not normalize)
                for n, m, normalize in zip([image_channels, *widths[:-1]], widths, normalized, strict=True)
            ]
        )
        self.norms = nn.ModuleList(
            [BatchNorm(m) if normalize else nn.Identity() for m, normalize in zip(widths, normalized, strict=True)]
        )
        self.linear = nn.Linear(widths[-1] * math.prod(base), 1)
        self.embedding = nn.Embedding(num_classes, widths[-1]) if num_classes else None
        initialize(self, initialization)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), 0.2, inplace=True)
        return x

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        y = check_labels(y, self.num_classes)
        logits = self.linear(features.flatten(1)).squeeze(1)  # (B,)
        return logits if self.embedding is None else logits + (self.embedding(y) * features.sum((2, 3))).sum(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


class Encoder(nn.Module):
    """An encoder with the convolutions of DCGAN's discriminator.

    [4×4 convolution of stride 2, BN but for the first, leaky relu] for each halving -> linear

    Source: Donahue et al. 2017 (arXiv:1605.09782), sec. 4, for an encoder of the discriminator's shape [paper].

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        latent_dim: Length of the code.
        width: Channels of the largest map.
        batch_norm: Whether there is batch norm.
        initialization: ``normal``, ``orthogonal`` or ``xavier``.

    Shape: x (B, C, H, W) -> mean and log-variance, each (B, latent_dim). Labels are ignored.

    Raises:
        ValueError: If the network cannot have the size.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        latent_dim: int = 100,
        *,
        width: int = 64,
        batch_norm: bool = True,
        initialization: str = "normal",
    ) -> None:
        super().__init__()
        check_positive(latent_dim=latent_dim)
        self.body = Discriminator(image_size, image_channels, width=width, batch_norm=batch_norm)
        self.image_shape, self.latent_dim = self.body.image_shape, latent_dim
        del self.body.embedding
        self.body.linear = nn.Linear(self.body.linear.in_features, 2 * latent_dim)
        initialize(self, initialization)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.body.linear(self.body.features(x).flatten(1)).chunk(2, 1)  # (B, Z) each
        return mean, log_variance
