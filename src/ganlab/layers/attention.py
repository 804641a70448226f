"""Self-attention over the positions of a feature map."""

from __future__ import annotations

from collections import Counter

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """The non-local block of SAGAN, in the form that its released code and BigGAN have.

    β = softmax(θ(x)ᵀ φ(x)) over the positions of φ        out = γ·o(β g(x)) + x

    Source: Zhang et al. 2019 (arXiv:1805.08318), eq. 1 to 3. As in the released code, and unlike the
    equations, φ and g are 2×2 max-pooled, g has C/2 channels, and γ is a scalar that starts at 0. The
    logits are not scaled. All maps are 1×1 convolutions without bias.

    Args:
        channels: C, at least 8; θ and φ have C/8 channels.

    Shape: (B, C, H, W) -> (B, C, H, W), H and W even.

    Raises:
        ValueError: If C is below 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 8:
            raise ValueError(f"expected at least 8 channels where attention is, got {channels}: make the network wider")
        self.query = nn.Conv2d(channels, channels // 8, 1, bias=False)  # θ
        self.key = nn.Conv2d(channels, channels // 8, 1, bias=False)  # φ
        self.value = nn.Conv2d(channels, channels // 2, 1, bias=False)  # g
        self.output = nn.Conv2d(channels // 2, channels, 1, bias=False)  # o
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)  # (B, C/8, H·W)
        key = F.max_pool2d(self.key(x), 2).flatten(2)  # (B, C/8, H·W/4)
        value = F.max_pool2d(self.value(x), 2).flatten(2)  # (B, C/2, H·W/4)
        # Written out, as the fused kernels cannot be differentiated twice, which penalties need.
        weights = torch.softmax(query.transpose(1, 2) @ key, dim=-1)  # (B, H·W, H·W/4)
        attended = (weights @ value.transpose(1, 2)).transpose(1, 2)  # (B, C/2, H·W)
        return torch.addcmul(x, self.gamma, self.output(attended.unflatten(2, x.shape[2:])))


def attention_places(attention: int | tuple[int, ...], heights: list[int]) -> list[int]:
    """Which of the blocks, whose maps have ``heights``, attention follows.

    That is the first block of each height asked for; of a height that is asked for n times, the first n.

    Args:
        attention: One height or several; 0 for none.
        heights: Of the blocks' maps, in order.

    Raises:
        ValueError: If there is no map of a height that is asked for, or fewer than that; the nearest is named.
    """
    wanted = [height for height in ((attention,) if isinstance(attention, int) else attention) if height]
    places = []
    for height, times in Counter(wanted).items():
        blocks = [i for i, found in enumerate(heights) if found == height]
        if not blocks:
            known = ", ".join(str(h) for h in sorted(set(heights)))
            nearest = min(heights, key=lambda h: (abs(h - height), h))
            raise ValueError(
                f"expected attention to be the height of a map, one of {known} (0 for none), got {height}; "
                f"nearest is {nearest}"
            )
        if times > len(blocks):
            raise ValueError(
                f"expected attention at {height} at most {len(blocks)} times, so many maps have that height"
            )
        places += blocks[:times]
    return sorted(places)
