"""Translation of images by whole pixels, another for each image."""

from __future__ import annotations

import torch
from torch import Tensor


def mirrored_index(index: Tensor, size: int) -> Tensor:
    """``index`` mirrored at 0 and ``size`` - 1, as often as it takes to lie between them."""
    if size == 1:
        return torch.zeros_like(index)
    period = 2 * (size - 1)
    index = index.remainder(period)
    return torch.minimum(index, period - index)


def shifted(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """out[i, j] = images[i + down, j + right] of images mirrored at their borders; whole numbers (B,) of pixels."""
    channels, height, width = images.shape[1:]
    rows = mirrored_index(torch.arange(height, device=images.device) + down[:, None], height)  # (B, H)
    columns = mirrored_index(torch.arange(width, device=images.device) + right[:, None], width)  # (B, W)
    images = images.gather(2, rows[:, None, :, None].expand(-1, channels, -1, width))
    return images.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))
