"""Equalized learning rate: weights of N(0, 1) that are scaled where they are used."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.core.checks import positive
from ganlab.layers.casting import kept
from ganlab.layers.resample import DownsampleConv2d, UpsampleConv2d

GAIN = math.sqrt(2.0)


class _Equalized(nn.Module):
    """Weight W·s and bias b·t, s = gain/√fan_in·m and t = bias_gain·m, with W ~ N(0, 1)/m and b = 0 at the start.

    Under an optimizer whose step does not depend on the gradient's size every layer so learns as fast as its
    dynamic range asks for, and m times as fast (m is the multiplier of the learning rate).

    Source: Karras et al. 2018 (arXiv:1710.10196), sec. 4.1, for m = 1; m as in Karras et al. 2019
    (arXiv:1812.04948), app. C, which scales the weights of the mapping network by 0.01. StyleGAN2 multiplies what a
    leaky relu gives by √2, and the bias with it: gain = bias_gain = √2.
    """

    weight: Tensor
    bias: Any  # a tensor or None

    def _equalize(self, gain: float, lr_multiplier: float, scaled_bias: bool, bias_gain: float = 1.0) -> None:
        positive("lr_multiplier", lr_multiplier)
        self.scale = positive("gain", gain) / math.sqrt(self.weight[0].numel()) * lr_multiplier
        self.bias_scale = self.scale if scaled_bias else bias_gain * lr_multiplier
        with torch.no_grad():
            self.weight.normal_(0.0, 1.0 / lr_multiplier)
            if self.bias is not None:
                self.bias.zero_()

    def tensors(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias as they are used."""
        return kept(self, self.weight, self._scaled)

    def _scaled(self) -> tuple[Tensor, Tensor | None]:
        bias = self.bias if self.bias is None or self.bias_scale == 1.0 else self.bias * self.bias_scale
        return self.weight * self.scale, bias


class EqualizedLinear(_Equalized, nn.Linear):
    """A linear map with equalized learning rate: x (B, in) -> s·x Wᵀ + t·b (B, out).

    Args:
        in_features: Length of x.
        out_features: Length of the output.
        bias: Whether there is a b.
        gain: Of the weights, √2 before a leaky relu.
        lr_multiplier: m.
        scaled_bias: Whether t = s, as in pytorch_GAN_zoo.
        bias_gain: Of the bias.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        gain: float = GAIN,
        lr_multiplier: float = 1.0,
        scaled_bias: bool = False,
        bias_gain: float = 1.0,
    ) -> None:
        super().__init__(in_features, out_features, bias=bias)
        self._equalize(gain, lr_multiplier, scaled_bias, bias_gain)

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is None:
            return (x * self.scale) @ self.weight.t()
        # the product takes both factors along: no pass over the weights for them
        return torch.addmm(self.bias, x, self.weight.t(), beta=self.bias_scale, alpha=self.scale)


class EqualizedConv2d(_Equalized, nn.Conv2d):
    """A convolution with equalized learning rate that keeps the size of the map.

    Args:
        in_channels: C.
        out_channels: C'.
        kernel_size: K, odd.
        bias: Whether it has one.
        gain: Of the weights, √2 before a leaky relu.
        lr_multiplier: m.
        scaled_bias: Whether the bias is scaled as the weights are, as in pytorch_GAN_zoo.
        bias_gain: Of the bias.

    Shape: (B, C, H, W) -> (B, C', H, W).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        gain: float = GAIN,
        lr_multiplier: float = 1.0,
        scaled_bias: bool = False,
        bias_gain: float = 1.0,
    ) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"expected an odd kernel_size, got {kernel_size}")
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
        self._equalize(gain, lr_multiplier, scaled_bias, bias_gain)

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, *self.tensors())


class EqualizedUpsampleConv2d(_Equalized, UpsampleConv2d):
    """``conv(upsample(x))``, nearest, with equalized learning rate: see `UpsampleConv2d` and `EqualizedConv2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        gain: float = GAIN,
        scaled_bias: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, bias=bias)
        self._equalize(gain, 1.0, scaled_bias)


class EqualizedDownsampleConv2d(_Equalized, DownsampleConv2d):
    """``avg_pool2d(conv(x), 2)`` with equalized learning rate: see `DownsampleConv2d` and `EqualizedConv2d`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        gain: float = GAIN,
        scaled_bias: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, bias=bias)
        self._equalize(gain, 1.0, scaled_bias)
