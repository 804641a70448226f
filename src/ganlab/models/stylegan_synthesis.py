"""The synthesis network of StyleGAN: from styles to an image."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.layers.equalized import EqualizedConv2d, EqualizedUpsampleConv2d
from ganlab.layers.fir import FIRFilter
from ganlab.layers.growing import Growing
from ganlab.layers.noise import NoiseInjection, noise_maps
from ganlab.layers.resample import upsample
from ganlab.layers.style import AdaIN


class Synthesis(Growing):
    """ws -> images: a learned constant, then two layers for each level up to the present one, then a 1×1 conv.

    The layers of the base are the constant and a conv; those of another level are [up and conv, blur] and a conv.
    Each is followed by noise, bias, leaky relu (0.2) and AdaIN with its own style. While a level fades in, the image
    is old + alpha·(new − old), with old the image of the level below, doubled.

    Args:
        image_channels: C.
        base: (h, w) of the base map.
        channels: Of the maps of each level, from the base on.
        w_dim: Length of a style vector.
        noise: Whether there is noise.

    Shape: ws (B, n, w_dim) with n at least 2·(level + 1), of which the first are used -> (B, C, H, W).
    """

    def __init__(
        self, image_channels: int, base: tuple[int, int], channels: list[int], w_dim: int, noise: bool
    ) -> None:
        super().__init__(image_channels, base, len(channels) - 1)
        self.w_dim = w_dim
        self.const = nn.Parameter(torch.ones(1, channels[0], *base))
        self.const_bias = nn.Parameter(torch.zeros(channels[0]))
        self.conv = EqualizedConv2d(channels[0], channels[0], 3)
        self.ups = nn.ModuleList([EqualizedUpsampleConv2d(n, m, 3, bias=False) for n, m in pairwise(channels)])
        self.up_biases = nn.ParameterList([nn.Parameter(torch.zeros(m)) for m in channels[1:]])
        self.blur = FIRFilter()
        self.convs = nn.ModuleList([EqualizedConv2d(m, m, 3) for m in channels[1:]])
        self.to_image = nn.ModuleList([EqualizedConv2d(m, image_channels, 1, gain=1.0) for m in channels])
        each = [(m, self.image_size_at(level)) for level, m in enumerate(channels) for _ in range(2)]
        self.noises = nn.ModuleList([NoiseInjection(m, size) for m, size in each] if noise else [])
        self.styles = nn.ModuleList([AdaIN(m, w_dim) for m, _ in each])

    @property
    def noise_sizes(self) -> list[tuple[int, int]]:
        """(H, W) of the noise of each layer up to the present level."""
        return [self.image_size_at(i // 2) for i in range(2 * (self.level + 1))] if len(self.noises) else []

    @property
    def noise_positions(self) -> int:
        """The count of numbers in the noise of an image, at the present level."""
        return sum(height * width for height, width in self.noise_sizes)

    def forward(self, ws: Tensor, noise: str | Tensor = "random") -> Tensor:
        """Images of styles.

        Args:
            ws: (B, n, w_dim).
            noise: ``random``, ``fixed`` (the stored maps, the same for all images), ``off``, or the numbers
                themselves, (B or 1, ``noise_positions``).

        Raises:
            ValueError: If ws or noise do not fit.
        """
        layers = 2 * (self.level + 1)
        if ws.ndim != 3 or ws.shape[1] < layers or ws.shape[2] != self.w_dim:
            raise ValueError(f"expected ws of shape (batch, {layers} or more, {self.w_dim}), got {tuple(ws.shape)}")
        maps = noise_maps(noise, ws, self.noises, self.noise_sizes)
        x = (self.const + self.const_bias.view(1, -1, 1, 1)).repeat(ws.shape[0], 1, 1, 1)  # (B, C, h, w)
        x = self._finish(0, x, ws, maps)
        x = old = self._finish(1, self.conv(x), ws, maps)
        for i in range(self.level):
            old = x
            x = self._finish(2 * i + 2, self.blur(self.ups[i](x), self.up_biases[i]), ws, maps)
            x = self._finish(2 * i + 3, self.convs[i](x), ws, maps)
        image = self.to_image[self.level](x)
        if self._fades:
            image = self.blend(upsample(self.to_image[self.level - 1](old)), image)
        return image

    def _finish(self, layer: int, x: Tensor, ws: Tensor, maps: list[Tensor]) -> Tensor:
        if maps:
            x = self.noises[layer](x, maps[layer])
        return self.styles[layer](F.leaky_relu(x, 0.2, inplace=True), ws[:, layer])
