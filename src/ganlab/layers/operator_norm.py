"""Convolutions divided by their norm as maps from feature map to feature map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.layers import state

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_FORWARD = (F.conv1d, F.conv2d, F.conv3d)
_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


class OperatorNorm(nn.Module):
    """W / σ(A), with A the linear map x -> W * x of a convolution on maps of one size, by power iteration on A.

    u ← Av / max(‖Av‖, ε)        v ← Aᵀu / max(‖Aᵀu‖, ε)        σ = uᵀAv

    A has the layer's stride, padding, dilation and groups; Aᵀ is its gradient by the input. With padding=circular
    and stride 1, σ is the largest singular value of the (out, in) matrices that the Fourier transform of the kernel
    gives (Sedghi et al. 2019, arXiv:1805.10408, theorem 6). The gradient flows through W in σ, not through u and v.

    One call makes ``iterations`` iterations from the stored v, which moves in training where
    `ganlab.layers.state.moves`.

    Args:
        layer: The convolution, or transposed convolution.
        size: (H, W) of its input.
        iterations: Power iterations a call.
        eps: ε.
    """

    v: Tensor

    def __init__(self, layer: nn.Module, size: Sequence[int], iterations: int = 1, eps: float = 1e-12) -> None:
        super().__init__()
        assert isinstance(layer, CONVOLUTIONS)
        self.iterations, self.eps = iterations, eps
        self.stride, self.dilation, self.groups = layer.stride, layer.dilation, layer.groups
        self.transposed = layer.transposed
        self.padding, self.output_padding = layer.padding, layer.output_padding
        self.padding_mode = layer.padding_mode
        self.margins: Sequence[int] = getattr(layer, "_reversed_padding_repeated_twice", ())
        self.size = tuple(size)
        weight = layer.weight
        start = torch.randn(1, layer.in_channels, *size, device=weight.device, dtype=weight.dtype)
        self.register_buffer("v", start / start.norm())

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            v = self._iterated(weight.detach())
            out = self.apply_to(v, weight)
            u = _normalized(out.detach(), self.eps)
            return weight / (u * out).sum()

    def apply_to(self, x: Tensor, weight: Tensor) -> Tensor:
        """A x."""
        dims = len(self.size) - 1
        if self.transposed:
            convolve = _TRANSPOSED[dims]
            margins = (self.padding, self.output_padding)
            return convolve(x, weight, None, self.stride, *margins, self.groups, self.dilation)  # type: ignore[arg-type]
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, list(self.margins), mode=self.padding_mode), (0,) * len(self.size)
        return _FORWARD[dims](x, weight, None, self.stride, padding, self.dilation, self.groups)  # type: ignore[arg-type]

    def apply_adjoint_to(self, y: Tensor, weight: Tensor) -> Tensor:
        """Aᵀ y."""
        with torch.enable_grad():
            x = y.new_zeros(len(y), *self.v.shape[1:]).requires_grad_()
            (found,) = torch.autograd.grad(self.apply_to(x, weight), x, y)
        return found

    def _iterated(self, weight: Tensor) -> Tensor:
        v = self.v
        for _ in range(self.iterations):
            with torch.enable_grad():
                x = v.detach().requires_grad_()
                out = self.apply_to(x, weight)
                (v,) = torch.autograd.grad(out, x, _normalized(out.detach(), self.eps))
            v = _normalized(v, self.eps)
        if self.training and state.moves():
            with torch.no_grad():
                self.v.copy_(v)
        return v


def _normalized(x: Tensor, eps: float) -> Tensor:
    return x / x.norm().clamp(min=eps)
