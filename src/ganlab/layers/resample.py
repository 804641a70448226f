"""Doubling and halving, folded into the neighbouring convolution.

Nearest upsampling by 2 and then a K×K convolution is one stride-2 transposed convolution with a
(K+1)×(K+1) kernel; a K×K convolution and then 2×2 average pooling is one stride-2 convolution with
a (K+1)×(K+1) kernel. With K = 3 that is 16 multiplications instead of 36 for each pixel of the
smaller map. A 1×1 convolution commutes with both, and so is done on the smaller map. All are exact
up to rounding, at the borders too.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.core.errors import one_of
from ganlab.layers.casting import kept

MODES = ("nearest", "bilinear")
FEWEST_PIXELS = 1024  # see `_Resampling.folds`


def upsample(x: Tensor, mode: str = "nearest") -> Tensor:
    """``x`` (B, C, H, W) with both sides doubled."""
    if mode == "nearest":
        return F.interpolate(x, scale_factor=2.0, mode="nearest")
    return F.interpolate(x, scale_factor=2.0, mode=mode, align_corners=False)


class _Resampling(nn.Conv2d):
    """A stride-1 convolution that keeps the size, next to a change of resolution."""

    shifts: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, bias: bool = True, dilation: int = 1
    ) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"expected an odd kernel_size, got {kernel_size}")
        padding = dilation * (kernel_size // 2)
        super().__init__(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=bias)
        self.pointwise = kernel_size == 1
        # The matrix that makes the (K+1)×(K+1) kernel w * 1₂ₓ₂, the sum of w at its shifts by 0 or 1. Not
        # saved. A product is ten times faster than padding and adding.
        shifts = torch.eye(kernel_size + 1, kernel_size) + torch.eye(kernel_size + 1, kernel_size).roll(1, 0)
        self.register_buffer("shifts", torch.kron(shifts, shifts), persistent=False)

    def folds(self, images: int, height: int, width: int) -> bool:
        """Tell if folding is faster for so many smaller maps: the folded kernel is computed in each pass.

        Measured on a CPU: 1.3 to 1.7 times faster from 4,096 pixels on, equal at 1,024, slower below. A
        dilated kernel would fold into one with holes in it, where nothing is saved. An exported graph has one form
        for batches of any size, and does not fold.
        """
        if torch.compiler.is_exporting():
            return False
        return self.dilation == (1, 1) and images * height * width > FEWEST_PIXELS

    def tensors(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias as the convolution uses them.

        Asked for once a pass: a parametrized weight is computed, and its state moves, with each access.
        """
        return self.weight, self.bias

    def folded_kernel(self, weight: Tensor) -> Tensor:
        """w * 1₂ₓ₂ as (out, K+1, K+1, in)."""
        rows, channels, side, _ = weight.shape
        with torch.autocast(weight.device.type, enabled=False):
            kernel = self.shifts @ weight.permute(0, 2, 3, 1).reshape(rows, side * side, channels)  # (out, (K+1)², in)
        return kernel.view(rows, side + 1, side + 1, channels)  # (out, K+1, K+1, in)


class UpsampleConv2d(_Resampling):
    """``conv(upsample(x))``: (B, C, H, W) -> (B, C', 2H, 2W), padded so that the convolution keeps the size.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: K, odd.
        bias: Whether the convolution has one.
        dilation: Of the convolution, on the larger map.
        mode: ``nearest``, or ``bilinear`` (align_corners=False), whose folded kernel would have
            (K+3)×(K+3) taps: for K = 3 as much work as before, so only K = 1 is rearranged.

    Raises:
        ValueError: If the kernel is even or the mode unknown.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        dilation: int = 1,
        mode: str = "nearest",
    ) -> None:
        one_of(mode, MODES, "upsampling")
        super().__init__(in_channels, out_channels, kernel_size, bias=bias, dilation=dilation)
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.tensors()
        if self.pointwise:  # the weights of an interpolation sum to one, so the bias commutes as well
            return upsample(self._conv_forward(x, weight, bias), self.mode)
        images, _, height, width = x.shape
        if self.mode == "bilinear" or not self.folds(images, height, width):
            return self._conv_forward(upsample(x, self.mode), weight, bias)
        # out[o] = Σᵢ x[i] (w[2i−o+P] + w[2i+1−o+P]) along each axis, so the kernel is flipped
        kernel = kept(self, weight, lambda: self.folded_kernel(weight).flip(1, 2).permute(3, 0, 1, 2))
        # (in, out, K+1, K+1)
        return F.conv_transpose2d(x, kernel, bias, stride=2, padding=self.kernel_size[0] // 2)


class DownsampleConv2d(_Resampling):
    """``avg_pool2d(conv(x), 2)``: (B, C, H, W) -> (B, C', H/2, W/2).

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: K, odd.
        bias: Whether the convolution has one.
        dilation: Of the convolution.

    Raises:
        ValueError: If the kernel is even.
    """

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.tensors()
        if self.pointwise:
            return self._conv_forward(F.avg_pool2d(x, 2), weight, bias)
        images, _, height, width = x.shape
        if not self.folds(images, height // 2, width // 2):
            return F.avg_pool2d(self._conv_forward(x, weight, bias), 2)
        kernel = kept(self, weight, lambda: 0.25 * self.folded_kernel(weight).permute(0, 3, 1, 2))
        # (out, in, K+1, K+1)
        return F.conv2d(x, kernel, bias, stride=2, padding=self.padding)
