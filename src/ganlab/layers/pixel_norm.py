"""Pixel norm: every position's vector of channels gets the length √C."""

from __future__ import annotations

import torch
from torch import Tensor


def pixel_norm(x: Tensor, eps: float = 1e-8) -> Tensor:
    """x / √(mean over channels of x² + ε), of (B, C) or (B, C, H, W); the mean in float32 at least.

    Source: Karras et al. 2018 (arXiv:1710.10196), sec. 4.2.

    Args:
        x: Latents or a map.
        eps: ε.
    """
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    return x * torch.rsqrt(wide.square().mean(1, keepdim=True) + eps).to(x.dtype)
