"""Modulated convolutions: layers whose weights a style scales."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.layers.equalized import GAIN, EqualizedLinear
from ganlab.layers.fir import FIRFilter
from ganlab.layers.noise import NoiseInjection

SLOPE = 0.2
EPS = 1e-8


class ModulatedConv2d(nn.Module):
    """A convolution whose input channels have the factors s = A w: conv(s·x), times d for demodulation.

    d_o = 1/√(Σ_ik (s_i W_oik)² + ε) gives each output channel unit deviation; it is a product of s² with Σ_k W² and
    a factor of outputs, so that no image needs weights of its own. Without it s is divided by √fan_in.

    Source: Karras et al. 2020 (arXiv:1912.04958), sec. 2.2, eq. 1 and 3, and app. B.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: Odd.
        w_dim: Length of w; A has the bias 1 at the start.
        demodulate: Whether d is returned, or None.
        taps: Of the filter that follows if the map is doubled; None: it keeps its size.

    Shape: x (B, C, H, W), w (B, w_dim) -> (B, C', H, W) or (B, C', 2H, 2W) before d, and d (B, C', 1, 1).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        w_dim: int,
        *,
        demodulate: bool = True,
        taps: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.affine = EqualizedLinear(w_dim, in_channels, gain=1.0)
        nn.init.ones_(self.affine.bias)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.scale = 1.0 if demodulate else 1 / math.sqrt(in_channels * kernel_size**2)
        self.demodulate = demodulate
        self.blur = None
        if taps is not None:  # of a map of 2H + kernel_size - 2 pixels
            before = (len(taps) + 1) // 2 - kernel_size // 2
            self.blur = FIRFilter(taps, padding=(before, len(taps) // 2 - kernel_size // 2), gain=2.0)

    def forward(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor | None]:
        style = self.affine(w) * self.scale  # (B, C)
        x = x * style.to(x.dtype)[:, :, None, None]
        if self.blur is None:
            x = F.conv2d(x, self.weight, padding=self.weight.shape[2] // 2)
        else:
            x = self.blur(F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2))
        if not self.demodulate:
            return x, None
        with torch.autocast(x.device.type, enabled=False):
            wide = torch.promote_types(style.dtype, self.weight.dtype)
            energy = style.to(wide).square() @ self.weight.square().sum((2, 3)).t().to(wide)
            return x, torch.rsqrt(energy + EPS)[:, :, None, None]


class SynthesisLayer(nn.Module):
    """Modulated convolution, noise with one strength, bias, leaky relu of gain √2, clamp.

    Args:
        in_channels: C.
        out_channels: C'.
        size: (H, W) of its output.
        w_dim: Length of w.
        gain: Of its output, beside √2.
        clamp: Largest absolute value of the output, times the gain; None: any.
        taps: As of `ModulatedConv2d`.

    Shape: x (B, C, ...), w (B, w_dim), noise (B or 1, 1, H, W) or None -> (B, C', H, W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: tuple[int, int],
        w_dim: int,
        *,
        noise: bool,
        gain: float = 1.0,
        clamp: float | None = None,
        taps: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, out_channels, 3, w_dim, taps=taps)
        self.noise = NoiseInjection(1, size) if noise else None
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.gain, self.clamp = GAIN * gain, None if clamp is None else clamp * gain

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        x, factor = self.conv(x, w)
        # the leaky relu of g·x is g times that of x, so its gain goes along with factors that are there anyway
        shift = (self.bias * self.gain).to(x.dtype).view(1, -1, 1, 1)
        assert factor is not None
        factor = (factor * self.gain).to(x.dtype)
        if noise is None or self.noise is None:
            x = torch.addcmul(shift, x, factor)
        else:
            x = torch.addcmul((noise * (self.noise.weight * self.gain)).to(x.dtype), x, factor).add_(shift)
        x = F.leaky_relu(x, SLOPE, inplace=True)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class ToImage(nn.Module):
    """A modulated 1×1 convolution without demodulation, and a bias.

    Shape: x (B, C, H, W), w (B, w_dim) -> (B, image_channels, H, W).
    """

    def __init__(self, in_channels: int, image_channels: int, w_dim: int, clamp: float | None) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(in_channels, image_channels, 1, w_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(image_channels))
        self.clamp = clamp

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = self.conv(x, w)[0] + self.bias.to(x.dtype).view(1, -1, 1, 1)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)
