"""Norms of one gradient an image, finite and differentiable where a gradient is zero."""

from __future__ import annotations

import torch
from torch import Tensor


def squared_norm(gradient: Tensor) -> Tensor:
    """||g_i||^2 of every image: (B, ...) -> (B,), summed over all other dimensions in any memory format."""
    squares = gradient.square()
    return squares.sum(tuple(range(1, squares.ndim))) if squares.ndim > 1 else squares


def power_of_norm(squared: Tensor, exponent: float) -> Tensor:
    """||g||^exponent from ||g||^2, (B,) -> (B,), with gradient 0 where g = 0.

    The slope of ||g||^p in ||g||^2 is infinite at 0 for p < 2, and infinity times the zero that
    follows in the chain rule is no number. So the root is taken of 1 there and the result replaced
    by 0: zero is a subgradient for p >= 1 and the gradient for p > 1.
    """
    positive = squared > 0
    root = torch.where(positive, squared, 1.0).pow(exponent / 2)
    return torch.where(positive, root, 0.0)
