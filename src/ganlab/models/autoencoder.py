"""An auto-encoder as a discriminator: EBGAN's."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.layers.geometry import Doublings, Size, doublings
from ganlab.layers.initialization import initialize
from ganlab.layers.inputs import check_positive
from ganlab.layers.norm import BatchNorm


class Discriminator(nn.Module):
    """A convolutional auto-encoder: its energy is the mean squared error of the reconstruction.

    E(x) = mean over pixels and channels of (decode(encode(x)) - x)^2        logit = -E(x)

    encode: [4×4 convolution of stride 2, BN but for the first, leaky relu] for each halving -> linear
    decode: linear -> [BN, relu, 4×4 transposed convolution of stride 2] for each doubling -> tanh

    Source: Zhao et al. 2017 (arXiv:1609.03126), eq. 3 and sec. 4, with DCGAN's layers. The paper writes E as a norm
    and gives margins of 10 to 80 [paper; no code confirmed the scale]; here E is at most 4, whatever the
    size, and margins are of the order of the error of a blank reconstruction.

    Args:
        image_size: H, or (H, W): a base of 4 to 15 pixels doubled at least once.
        image_channels: C.
        width: Channels of the largest map.
        code_dim: Length of the code.
        batch_norm: Whether there is batch norm.
        initialization: ``normal``, ``orthogonal`` or ``xavier``.

    Shape: x (B, C, H, W) -> logits (B,). ``encode``: codes (B, code_dim). Labels are ignored.

    Raises:
        ValueError: If the network cannot have the size.
    """

    image_sizes = Doublings()
    num_classes = 0
    provides = ("energy",)

    def __init__(
        self,
        image_size: Size = 32,
        image_channels: int = 3,
        *,
        width: int = 64,
        code_dim: int = 64,
        batch_norm: bool = True,
        initialization: str = "normal",
    ) -> None:
        super().__init__()
        check_positive(width=width, code_dim=code_dim, image_channels=image_channels)
        self.base, count = doublings(image_size)
        height, breadth = (side * 2**count for side in self.base)
        self.image_shape = (image_channels, height, breadth)
        widths = [width * 2**i for i in range(count)]

        def norm(channels: int) -> nn.Module:
            return BatchNorm(channels) if batch_norm else nn.Identity()

        steps = list(zip([image_channels, *widths[:-1]], widths, strict=True))
        self.down = nn.ModuleList([nn.Conv2d(n, m, 4, stride=2, padding=1) for n, m in steps])
        self.down_norms = nn.ModuleList([norm(m) if i else nn.Identity() for i, m in enumerate(widths)])
        inner = widths[-1] * math.prod(self.base)
        self.to_code, self.from_code = nn.Linear(inner, code_dim), nn.Linear(code_dim, inner)
        self.up_norms = nn.ModuleList([norm(m) for m in reversed(widths)])
        self.up = nn.ModuleList([nn.ConvTranspose2d(m, n, 4, stride=2, padding=1) for n, m in reversed(steps)])
        initialize(self, initialization)

    def encode(self, x: Tensor) -> Tensor:
        for conv, norm in zip(self.down, self.down_norms, strict=True):
            x = F.leaky_relu(norm(conv(x)), 0.2)
        return self.to_code(x.flatten(1))  # (B, code)

    def decode(self, code: Tensor) -> Tensor:
        h = self.from_code(code).unflatten(1, (-1, *self.base))  # (B, C, h, w)
        for norm, conv in zip(self.up_norms, self.up, strict=True):
            h = conv(F.relu(norm(h)))
        return h.tanh()

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return -(self.decode(self.encode(x)) - x).square().flatten(1).mean(1)  # (B,)
