"""Equalized learning rate against its formula, plain convolutions, and second derivatives."""

from __future__ import annotations

import math
from typing import TypeVar

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from ganlab.layers import resample
from ganlab.layers.equalized import EqualizedConv2d, EqualizedDownsampleConv2d, EqualizedLinear, EqualizedUpsampleConv2d

Conv = EqualizedConv2d | EqualizedUpsampleConv2d | EqualizedDownsampleConv2d
Layer = TypeVar("Layer", bound=EqualizedLinear | Conv)
CONVS: dict[str, type[Conv]] = {
    "same": EqualizedConv2d,
    "up": EqualizedUpsampleConv2d,
    "down": EqualizedDownsampleConv2d,
}


def filled(layer: Layer) -> Layer:
    with torch.no_grad():
        assert layer.bias is not None
        layer.bias.copy_(torch.linspace(-1, 1, len(layer.bias)))
    return layer


@pytest.mark.parametrize("scaled_bias", [False, True])
@pytest.mark.parametrize("multiplier", [1.0, 0.01])
def test_a_linear_map_is_scaled_by_gain_over_root_of_fan_in_times_the_multiplier(
    scaled_bias: bool, multiplier: float
) -> None:
    torch.manual_seed(0)
    layer = filled(EqualizedLinear(5, 3, gain=1.7, lr_multiplier=multiplier, scaled_bias=scaled_bias))
    x = torch.randn(4, 5)
    scale = 1.7 / math.sqrt(5) * multiplier
    expected = F.linear(x, layer.weight * scale, layer.bias * (scale if scaled_bias else multiplier))
    torch.testing.assert_close(layer(x), expected)
    plain = EqualizedLinear(5, 3, bias=False, gain=1.7, lr_multiplier=multiplier)
    torch.testing.assert_close(plain(x), F.linear(x, plain.weight * scale))


@pytest.mark.parametrize("scaled_bias", [False, True])
@pytest.mark.parametrize("kind", CONVS)
@pytest.mark.parametrize("few", [0, 10**6])
def test_convolutions_are_scaled_by_gain_over_root_of_fan_in_folded_or_not(
    kind: str, few: int, scaled_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resample, "FEWEST_PIXELS", few)
    torch.manual_seed(0)
    layer = filled(CONVS[kind](5, 3, 3, gain=1.7, scaled_bias=scaled_bias))
    x = torch.randn(2, 5, 6, 4)
    scale = 1.7 / math.sqrt(45)
    weight, bias = layer.weight * scale, layer.bias * (scale if scaled_bias else 1)
    larger = F.interpolate(x, scale_factor=2.0) if kind == "up" else x
    expected = F.conv2d(larger, weight, bias, padding=1)
    torch.testing.assert_close(layer(x), F.avg_pool2d(expected, 2) if kind == "down" else expected)


def test_weights_start_as_n_0_1_over_the_multiplier_and_biases_as_0() -> None:
    torch.manual_seed(0)
    for layer, deviation in ((EqualizedConv2d(64, 64, 3), 1.0), (EqualizedLinear(512, 64, lr_multiplier=0.01), 100.0)):
        assert abs(float(layer.weight.detach().std()) / deviation - 1) < 0.02
        assert not layer.bias.any()
    out = EqualizedConv2d(64, 64, 3, gain=1.0)(torch.randn(4, 64, 16, 16))
    assert 0.9 < float(out.detach().var()) < 1.02  # but for the border, variance 1 stays variance 1


@pytest.mark.parametrize("kind", CONVS)
@pytest.mark.parametrize("few", [0, 10**6])
def test_they_have_first_and_second_derivatives(kind: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resample, "FEWEST_PIXELS", few)
    torch.manual_seed(0)
    layer = CONVS[kind](2, 2, 3).double()
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    weight = layer.weight.detach().clone().requires_grad_()

    def call(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"weight": weight}, (x,)).square()

    assert gradcheck(call, (x, weight))
    assert gradgradcheck(call, (x, weight))


def test_the_linear_map_has_first_and_second_derivatives() -> None:
    layer = EqualizedLinear(3, 2, lr_multiplier=0.1).double()
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: layer(x).square(), (x,))
    assert gradgradcheck(lambda x: layer(x).square(), (x,))


@pytest.mark.parametrize("kind", CONVS)
def test_they_run_under_autocast_and_in_channels_last(kind: str) -> None:
    torch.manual_seed(0)
    layer = CONVS[kind](8, 8, 3)
    x = torch.randn(2, 8, 8, 8)
    expected = layer(x)
    last = layer.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, expected, rtol=1e-4, atol=1e-5)
    assert last.is_contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(x).float(), expected, rtol=0.05, atol=0.05)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an odd kernel_size, got 2"):
        EqualizedConv2d(1, 1, 2)
    with pytest.raises(ValueError, match="lr_multiplier must be finite and positive"):
        EqualizedLinear(1, 1, gain=1.0, lr_multiplier=0.0)
