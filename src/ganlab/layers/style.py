"""Adaptive instance normalization: a style vector sets mean and deviation of each channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganlab.layers.equalized import EqualizedLinear


class AdaIN(nn.Module):
    """(1 + s)·(x − μ)/√(σ² + ε) + b, with μ and the biased σ² of each image's channel, [s, b] = A w linear.

    Source: Karras et al. 2019 (arXiv:1812.04948), eq. 1; 1 + s as in the authors' code, where A starts with
    equalized learning rate and no bias. Statistics are taken in float32 at least.

    Args:
        channels: C.
        style_dim: Length of w.
        eps: ε.

    Shape: x (B, C, H, W), w (B, style_dim) -> (B, C, H, W).
    """

    def __init__(self, channels: int, style_dim: int, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps
        self.affine = EqualizedLinear(style_dim, 2 * channels, gain=1.0)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        gain, offset = self.affine(w)[:, :, None, None].chunk(2, 1)
        with torch.autocast(x.device.type, enabled=False):
            wide, gain, offset = (
                (t.float() if t.dtype in (torch.bfloat16, torch.float16) else t) for t in (x, gain, offset)
            )
            variance, mean = torch.var_mean(wide, (2, 3), correction=0, keepdim=True)
            scale = (gain + 1) * torch.rsqrt(variance + self.eps)
            return torch.addcmul(offset - mean * scale, wide, scale).to(x.dtype)
