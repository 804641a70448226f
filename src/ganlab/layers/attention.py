"""Self-attention over the positions of a feature map."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.layers import state
from ganlab.layers.pointwise import PointwiseConv2d
from ganlab.layers.transforms import transformed

USUAL_HEIGHT = 64


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
        self.query = PointwiseConv2d(channels, channels // 8, bias=False)  # θ
        self.key = PointwiseConv2d(channels, channels // 8, bias=False)  # φ
        self.value = PointwiseConv2d(channels, channels // 2, bias=False)  # g
        self.output = PointwiseConv2d(channels // 2, channels, bias=False)  # o
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)  # (B, C/8, H·W)
        key = F.max_pool2d(self.key(x), 2).flatten(2)  # (B, C/8, H·W/4)
        value = F.max_pool2d(self.value(x), 2).flatten(2)  # (B, C/2, H·W/4)
        attended = attend(query, key, value)  # (B, C/2, H·W)
        out = self.output(attended.unflatten(2, x.shape[2:]))  # (B, C, H, W)
        return torch.addcmul(x, self.gamma.to(x.dtype), out)  # on a GPU autocast would make it float32, as γ is


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """v softmax(qᵀk)ᵀ, the softmax over the positions of k.

    Args:
        query: (B, d, N), d at most e for the fused kernel to be taken.
        key: (B, d, M).
        value: (B, e, M).

    Shape: -> (B, e, N).
    """
    if not _pays(query, key, value):
        return _written_out(query, key, value)
    if not transformed():
        return _Fused.apply(query, key, value)
    whole = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
    once = whole and query.device.type == "cuda" and not state.twice()
    return (_fused if once else _written_out)(query, key, value)


# From this many weights an image on they do not fit into a cache of a CPU. Up to so many channels of the values the
# fused kernel is faster there (torch 2.15, one thread, N = 4096: 71 ms against 221 for 8 channels, 169 against 315
# for 64, 296 against 218 for 256): it wants queries as long as values, so they are filled up with zeros.
FUSED_FROM_WEIGHTS = 2**18
FUSED_TO_CHANNELS = 64
# Channels that a GPU's kernels take at most, in whole multiples of 8. Written out, the weights (B, N, M) go through
# memory several times, and under autocast in float32.
GPU_TO_CHANNELS, GPU_MULTIPLE = 256, 8


def _pays(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Tell if the fused kernel is taken."""
    channels = value.shape[1]
    if query.shape[1] > channels:
        return False
    if query.device.type == "cpu":
        return query.shape[2] * key.shape[2] >= FUSED_FROM_WEIGHTS and channels <= FUSED_TO_CHANNELS
    return query.device.type == "cuda" and channels <= GPU_TO_CHANNELS and query.dtype is not torch.float64


def _written_out(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    weights = torch.softmax(query.transpose(1, 2) @ key, dim=-1)  # (B, N, M)
    return (weights @ value.transpose(1, 2)).transpose(1, 2)  # (B, e, N)


def _fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    channels = value.shape[1]
    length = channels if value.device.type == "cpu" else -(-channels // GPU_MULTIPLE) * GPU_MULTIPLE
    q, k, v = (x.transpose(1, 2).unsqueeze(1) for x in (query, key, value))  # (B, 1 head, N or M, channels)
    q, k, v = (x if x.shape[3] == length else F.pad(x, (0, length - x.shape[3])) for x in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, scale=1.0)[..., :channels]
    return out.squeeze(1).transpose(1, 2)  # (B, e, N)


class _Fused(torch.autograd.Function):
    """`attend` by the fused kernel, which does not keep the weights and cannot be differentiated twice:
    a gradient that is to be differentiated itself (``create_graph``) is written out."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:  # type: ignore[override]
        inputs = [
            x.detach().requires_grad_(needed)
            for x, needed in zip((query, key, value), ctx.needs_input_grad, strict=True)
        ]
        with torch.set_grad_enabled(any(ctx.needs_input_grad)):
            out = _fused(*inputs)
        ctx.save_for_backward(query, key, value)
        ctx.kernel = (out, inputs)
        return out.detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        if not torch.is_grad_enabled():
            out, inputs = ctx.kernel
            wanted = [x for x in inputs if x.requires_grad]
            found = iter(torch.autograd.grad(out, wanted, grad, retain_graph=True))
            return tuple(next(found) if x.requires_grad else None for x in inputs)
        query, key, value = ctx.saved_tensors
        weights = torch.softmax(query.transpose(1, 2) @ key, dim=-1)  # (B, N, M)
        slope = grad.transpose(1, 2) @ value  # (B, N, M), by the weights
        slope = weights * (slope - (weights * slope).sum(-1, keepdim=True))  # by qᵀk
        return key @ slope.transpose(1, 2), query @ slope, grad @ weights  # (B, d, N), (B, d, M), (B, e, M)


def attention_places(attention: int | tuple[int, ...] | None, heights: list[int]) -> list[int]:
    """The places of the blocks that attention follows: the first block of each height.

    Of a height that is asked for n times they are the first n.

    Args:
        attention: One height or several; 0 for none; None for 64 if there is one.
        heights: Of the blocks' maps, in order.

    Raises:
        ValueError: If there is no map of a height that is asked for, or fewer than that; the nearest is named.
    """
    if attention is None:
        attention = USUAL_HEIGHT if USUAL_HEIGHT in heights else 0
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
                f"expected attention to name {height} no more often than there are maps of that height, "
                f"{len(blocks)}, got it {times} times"
            )
        places += blocks[:times]
    return sorted(places)
