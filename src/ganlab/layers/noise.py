"""Noise a pixel: numbers that generators add to their maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ganlab.core import randomness
from ganlab.core.errors import one_of

MODES = ("random", "fixed", "off")


class NoiseInjection(nn.Module):
    """x + weight·noise: one N(0, 1) number a position, the same for all channels, with a learned strength a channel.

    Source: Karras et al. 2019 (arXiv:1812.04948), sec. 2 and fig. 1b (B).

    Args:
        channels: C.
        size: (H, W) of the map.

    Shape: x (B, C, H, W), noise (B or 1, 1, H, W), or None for none -> (B, C, H, W).
    """

    fixed: Tensor

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.register_buffer("fixed", torch.randn(1, 1, *size))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return torch.addcmul(x, noise.to(x.dtype), self.weight.to(x.dtype).view(1, -1, 1, 1))  # (B, C, H, W)


def draw_noise(like: Tensor, positions: int) -> Tensor:
    """N(0, 1), (B, positions): in a turn by its key and the rank (`ganlab.core.randomness.noise`)."""
    return randomness.noise("noise", like, (len(like), positions), per_rank=True)


def noise_maps(
    noise: str | Tensor, like: Tensor, layers: Iterable[nn.Module], sizes: Sequence[tuple[int, int]]
) -> list[Tensor]:
    """The noise of each layer, (B or 1, 1, H, W) each; an empty list for none.

    Args:
        noise: ``random``: numbers in one draw for all layers (`draw_noise`); ``fixed``: the layers' stored maps;
            ``off``; or numbers (B or 1, Σ H·W).
        like: Of the batch, device and dtype.
        layers: The `NoiseInjection` of each size, or more.
        sizes: (H, W) of the maps, in order.

    Raises:
        ValueError: If ``noise`` is none of these.
    """
    if isinstance(noise, str):
        one_of(noise, MODES, "noise")
        if noise == "off" or not sizes:
            return []
        if noise == "fixed":
            return [cast(NoiseInjection, layer).fixed for layer, _ in zip(layers, sizes, strict=False)]
    areas = [height * width for height, width in sizes]
    numbers = draw_noise(like, sum(areas)) if isinstance(noise, str) else noise
    if numbers.ndim != 2 or numbers.shape[1] != sum(areas) or numbers.shape[0] not in (1, like.shape[0]):
        raise ValueError(f"expected noise of shape ({len(like)} or 1, {sum(areas)}), got {tuple(numbers.shape)}")
    return [piece.view(-1, 1, *size) for piece, size in zip(numbers.split(areas, 1), sizes, strict=True)]
