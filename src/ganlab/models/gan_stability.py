"""The residual networks of the R1 paper's code (GAN_stability), which the variational bottleneck (VDB) uses too."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.layers.geometry import Doublings, Size, doublings
from ganlab.layers.inputs import check_labels, check_latents, check_positive

SLOPE = 0.2


class Block(nn.Module):
    """out = shortcut(x) + 0.1·conv2(lrelu(conv1(lrelu(x)))), 3×3 convolutions with min(C, C') channels between.

    The shortcut is a 1×1 convolution without bias where channels change.

    Source: Mescheder et al. 2018 (arXiv:1801.04406), appendix, and the authors' code.

    Args:
        in_channels: C.
        out_channels: C'.

    Shape: (B, C, H, W) -> (B, C', H, W).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        hidden = min(in_channels, out_channels)
        self.conv1 = nn.Conv2d(in_channels, hidden, 3, padding=1)
        self.conv2 = nn.Conv2d(hidden, out_channels, 3, padding=1)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False) if in_channels != out_channels else None

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.leaky_relu(self.conv1(F.leaky_relu(x, SLOPE)), SLOPE, inplace=True))
        return torch.add(x if self.shortcut is None else self.shortcut(x), h, alpha=0.1)


class Generator(nn.Module):
    """The generator of GAN_stability.

    [z, embed(y)/||embed(y)||] -> linear -> [residual block, nearest doubling] ... -> residual block
    -> leaky relu, 3×3 convolution -> tanh

    A map that is 2ⁱ times smaller than the image has min(width·2ⁱ, largest_width) channels. Without classes
    there is one embedding, of length ``embedding_dim``, as in the authors' networks.

    Source: Mescheder et al. 2018 (arXiv:1801.04406) and the authors' code: width 16 and embedding_dim 1 for
    CelebA-HQ at 1024 pixels. VDB (arXiv:1810.00821) has width 32 and at most 256 channels for CIFAR-10.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        num_classes: 0 for none.
        latent_dim: Length of z.
        width: Channels of the largest map.
        largest_width: Most channels that a map has.
        embedding_dim: Length of a label's embedding.

    Shape: z (B, latent_dim), y (B,) -> (B, C, H, W).

    Raises:
        ValueError: If the size cannot be made; when called, if z or y do not fit.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 64,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        latent_dim: int = 256,
        width: int = 64,
        largest_width: int = 512,
        embedding_dim: int = 256,
    ) -> None:
        super().__init__()
        check_positive(
            width=width, largest_width=largest_width, latent_dim=latent_dim,
            image_channels=image_channels, embedding_dim=embedding_dim,
        )  # fmt: skip
        self.base, count = doublings(image_size)
        height, breadth = (side * 2**count for side in self.base)
        self.image_shape = (image_channels, height, breadth)
        self.latent_dim, self.num_classes = latent_dim, num_classes
        channels = [min(width * 2**i, largest_width) for i in reversed(range(count + 1))]
        self.embedding = nn.Embedding(max(num_classes, 1), embedding_dim)
        self.linear = nn.Linear(latent_dim + embedding_dim, channels[0] * math.prod(self.base))
        self.blocks = nn.ModuleList([Block(n, m) for n, m in zip(channels, [*channels[1:], channels[-1]], strict=True)])
        self.output = nn.Conv2d(channels[-1], image_channels, 3, padding=1)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        check_latents(z, self.latent_dim)
        y = check_labels(y, self.num_classes)
        embedded = self.embedding(y) if y is not None else self.embedding.weight.expand(z.shape[0], -1)
        embedded = embedded / embedded.norm(dim=1, keepdim=True)
        h = self.linear(torch.cat([z, embedded], 1)).unflatten(1, (-1, *self.base))  # (B, C, h, w)
        for i, block in enumerate(self.blocks):
            h = block(F.interpolate(h, scale_factor=2.0, mode="nearest") if i else h)
        return torch.tanh(self.output(F.leaky_relu(h, SLOPE)))


class Discriminator(nn.Module):
    """The discriminator of GAN_stability.

    3×3 convolution, residual block -> [3×3 mean pooling of stride 2, residual block] ... -> leaky relu -> linear

    A map that is 2ⁱ times smaller than the image has min(width·2ⁱ, largest_width) channels. With classes the
    linear map has an output for each, and the label chooses one.

    Source: Mescheder et al. 2018 (arXiv:1801.04406) and the authors' code: width 16 and at most 512 channels
    for CelebA-HQ at 1024 pixels. VDB (arXiv:1810.00821) has width 32 and at most 256 channels for CIFAR-10.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        num_classes: 0 for none.
        width: Channels of the largest map.
        largest_width: Most channels that a map has.

    Shape: x (B, C, H, W), y (B,) -> features (B, feature_channels, h, w), logits (B,).

    Raises:
        ValueError: If the network cannot have the size; when called, if y is missing.
    """

    image_sizes = Doublings()

    def __init__(
        self,
        image_size: Size = 64,
        image_channels: int = 3,
        num_classes: int = 0,
        *,
        width: int = 64,
        largest_width: int = 1024,
    ) -> None:
        super().__init__()
        check_positive(width=width, largest_width=largest_width, image_channels=image_channels)
        base, count = doublings(image_size)
        height, breadth = (side * 2**count for side in base)
        self.image_shape, self.num_classes = (image_channels, height, breadth), num_classes
        channels = [min(width * 2**i, largest_width) for i in range(count + 1)]
        self.feature_channels = channels[-1]
        self.input = nn.Conv2d(image_channels, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList([Block(n, m) for n, m in zip([channels[0], *channels], channels, strict=False)])
        self.linear = nn.Linear(channels[-1] * math.prod(base), max(num_classes, 1))

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.input(x)
        for i, block in enumerate(self.blocks):
            h = block(F.avg_pool2d(h, 3, stride=2, padding=1) if i else h)
        return h

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        y = check_labels(y, self.num_classes)
        logits = self.linear(F.leaky_relu(features, SLOPE).flatten(1))  # (B, 1 or classes)
        return logits.squeeze(1) if y is None else logits.gather(1, y[:, None]).squeeze(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)
