"""Codes with a mean and a log-variance: what encoders give.

An encoder is called as ``encoder(x, y=None)`` and gives (mean, log_variance), each (B, latent_dim).
"""

from __future__ import annotations

import torch
from torch import Tensor


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) in nats, (B,): 1/2 * sum(mean^2 + e^v - 1 - v); float32 at least."""
    dtype = torch.promote_types(mean.dtype, torch.float32)
    mean, log_variance = mean.to(dtype), log_variance.to(dtype)
    return (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1) / 2  # (B,)


def sample(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """mean + std * noise."""
    return mean + (log_variance / 2).exp() * noise.to(mean)
