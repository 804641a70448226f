"""The residual blocks and the projection head that SNGAN, SAGAN and BigGAN share."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.core.errors import one_of
from ganlab.layers.inputs import check_labels
from ganlab.layers.pointwise import PointwiseConv2d
from ganlab.layers.resample import DownsampleConv2d, UpsampleConv2d, upsample

POOLINGS = ("sum", "mean")


class GeneratorBlock(nn.Module):
    """Pre-activated residual block that doubles the map, or keeps it.

    out = conv2(relu(norm2(conv1(up(relu(norm1(x))))))) + conv_shortcut(up(x))

    Source: Miyato et al. 2018 (arXiv:1802.05957), fig. 14b; Brock et al. 2019 (arXiv:1809.11096), fig. 15b.

    Args:
        in_channels: C.
        out_channels: C', of both convolutions.
        norm: Makes the normalization of so many channels, called with x, or with x and a condition.
        kernel_size: Of both convolutions, odd.
        dilation: Of both.
        upsampling: ``nearest`` or ``bilinear``.
        doubles: False keeps the map, and then the shortcut has a convolution only if C' is not C.

    Shape: (B, C, H, W) -> (B, C', 2H, 2W), or (B, C', H, W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm: Callable[[int], nn.Module],
        *,
        kernel_size: int = 3,
        dilation: int = 1,
        upsampling: str = "nearest",
        doubles: bool = True,
    ) -> None:
        super().__init__()
        self.upsampling, self.doubles = upsampling, doubles
        padding = dilation * (kernel_size // 2)
        self.norm1 = norm(in_channels)
        self.conv1: nn.Conv2d
        if doubles:
            self.conv1 = UpsampleConv2d(in_channels, out_channels, kernel_size, dilation=dilation, mode=upsampling)
        else:
            self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation)
        self.norm2 = norm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size, padding=padding, dilation=dilation)
        learned = doubles or in_channels != out_channels
        self.shortcut = PointwiseConv2d(in_channels, out_channels) if learned else None

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        given = () if condition is None else (condition,)
        h = self.conv1(F.relu(self.norm1(x, *given), inplace=True))
        h = self.conv2(F.relu(self.norm2(h, *given), inplace=True))
        # A 1×1 convolution commutes with upsampling, and is done on the smaller map.
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return h + (upsample(shortcut, self.upsampling) if self.doubles else shortcut)


class DiscriminatorBlock(nn.Module):
    """Residual block of a discriminator, which halves the map or keeps it.

    out = pool(conv2(relu(conv1(relu(x))))) + pool(conv_shortcut(x))

    The first block of a network sees the image, so it has no first relu. The shortcut has a
    convolution if the block halves the map or changes the number of channels.

    Source: Miyato et al. 2018 (arXiv:1802.05957), fig. 14; Brock et al. 2019 (arXiv:1809.11096), fig. 15c.

    Args:
        in_channels: C.
        out_channels: C'.
        hidden_channels: Between the convolutions: C' in SAGAN and BigGAN, C in SNGAN.
        first: Whether x is the image.
        downsample: Whether to halve the map.
        shortcut_activation: Whether the shortcut takes relu(x): what an in-place relu makes of it in
            some implementations.
        kernel_size: Of both convolutions, odd.
        dilation: Of both.
        norm: Makes a normalization before each relu; None for none.

    Shape: (B, C, H, W) -> (B, C', H/2, W/2) or (B, C', H, W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int,
        *,
        first: bool = False,
        downsample: bool = True,
        shortcut_activation: bool = False,
        kernel_size: int = 3,
        dilation: int = 1,
        norm: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.first, self.downsample, self.shortcut_activation = first, downsample, shortcut_activation
        padding = dilation * (kernel_size // 2)
        self.norm1 = norm(in_channels) if norm and not first else None
        self.conv1 = nn.Conv2d(in_channels, hidden_channels, kernel_size, padding=padding, dilation=dilation)
        self.norm2 = norm(hidden_channels) if norm else None
        self.conv2: nn.Conv2d
        if downsample:
            self.conv2 = DownsampleConv2d(hidden_channels, out_channels, kernel_size, dilation=dilation)
        else:
            self.conv2 = nn.Conv2d(hidden_channels, out_channels, kernel_size, padding=padding, dilation=dilation)
        learned = downsample or in_channels != out_channels
        self.shortcut = PointwiseConv2d(in_channels, out_channels) if learned else None

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        given = () if condition is None else (condition,)
        h = x
        if not self.first:
            h = F.relu(h if self.norm1 is None else self.norm1(h, *given))
        if self.shortcut_activation and not self.first:
            x = F.relu(x) if self.norm1 is not None else h
        h = self.conv1(h)
        if self.norm2 is not None:
            h = self.norm2(h, *given)
        h = self.conv2(F.relu(h, inplace=True))
        # Pooling commutes with a 1×1 convolution, which is done on the smaller map.
        shortcut = F.avg_pool2d(x, 2) if self.downsample else x
        return h + (shortcut if self.shortcut is None else self.shortcut(shortcut))


class ProjectionHead(nn.Module):
    """Logits from the last feature map, by pooling and, with classes, projection.

    h = Σ relu(f) over positions        logit = w·h + b + ⟨embed(y), h⟩

    Source: Miyato & Koyama 2018 (arXiv:1802.05637), eq. 2 and fig. 1d; the sum is that of SNGAN.

    Args:
        channels: C.
        num_classes: 0 leaves the projection out.
        pooling: ``sum``, or ``mean`` as in WGAN-GP.
        bias: Whether there is b.

    Shape: (B, C, H, W), labels (B,) -> (B,).

    Raises:
        ValueError: If the pooling is unknown; when called, if labels are needed and missing.
    """

    def __init__(self, channels: int, num_classes: int = 0, *, pooling: str = "sum", bias: bool = True) -> None:
        super().__init__()
        one_of(pooling, POOLINGS, "pooling")
        self.num_classes, self.pooling = num_classes, pooling
        self.linear = nn.Linear(channels, 1, bias=bias)
        self.embedding = nn.Embedding(num_classes, channels) if num_classes else None

    def forward(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        y = check_labels(y, self.num_classes)
        h = F.relu(features)
        h = h.sum((2, 3)) if self.pooling == "sum" else h.mean((2, 3))
        logits = self.linear(h).squeeze(1)
        return logits if self.embedding is None else logits + (self.embedding(y) * h).sum(1)
