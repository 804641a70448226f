"""Folded resampling against the two steps that it replaces, at the borders too."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from ganlab.layers import resample
from ganlab.layers.resample import DownsampleConv2d, UpsampleConv2d, upsample

SIZES = [(2, 3, 4, 4), (1, 5, 6, 4), (3, 1, 1, 3)]


@pytest.fixture(autouse=True)
def always_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resample, "FEWEST_PIXELS", 0)


def plain(conv: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    return F.conv2d(x, conv.weight, conv.bias, padding=conv.padding, dilation=conv.dilation)


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_upsampling_convolution_equals_upsampling_and_then_convolution(
    shape: tuple[int, ...], kernel_size: int, layout: torch.memory_format, mode: str
) -> None:
    torch.manual_seed(0)
    conv = UpsampleConv2d(shape[1], 7, kernel_size, mode=mode).double().to(memory_format=layout)
    x = torch.randn(shape, dtype=torch.float64).contiguous(memory_format=layout)
    options = {} if mode == "nearest" else {"align_corners": False}
    expected = plain(conv, F.interpolate(x, scale_factor=2.0, mode=mode, **options))
    torch.testing.assert_close(conv(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 5, 6, 4), (3, 1, 2, 6), (1, 2, 5, 7)])
@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
def test_downsampling_convolution_equals_convolution_and_then_pooling(
    shape: tuple[int, ...], kernel_size: int, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    conv = DownsampleConv2d(shape[1], 7, kernel_size).double().to(memory_format=layout)
    x = torch.randn(shape, dtype=torch.float64).contiguous(memory_format=layout)
    torch.testing.assert_close(conv(x), F.avg_pool2d(plain(conv, x), 2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [UpsampleConv2d, DownsampleConv2d])
def test_dilated_convolutions_are_not_folded_and_right(kind: type[DownsampleConv2d] | type[UpsampleConv2d]) -> None:
    conv = kind(3, 4, 3, dilation=2).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    expected = plain(conv, upsample(x)) if kind is UpsampleConv2d else F.avg_pool2d(plain(conv, x), 2)
    torch.testing.assert_close(conv(x), expected)


@pytest.mark.parametrize("kind", [UpsampleConv2d, DownsampleConv2d])
def test_few_pixels_go_the_plain_way_with_the_same_result(
    kind: type[DownsampleConv2d] | type[UpsampleConv2d], monkeypatch: pytest.MonkeyPatch
) -> None:
    conv = kind(3, 4, 3).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    folded = conv(x)
    monkeypatch.setattr(resample, "FEWEST_PIXELS", 10**9)
    torch.testing.assert_close(conv(x), folded)


@pytest.mark.parametrize("kind", [UpsampleConv2d, DownsampleConv2d])
def test_folded_convolutions_have_first_and_second_derivatives(
    kind: type[DownsampleConv2d] | type[UpsampleConv2d],
) -> None:
    torch.manual_seed(0)
    conv = kind(2, 3, 3).double()
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.func.functional_call(conv, {"weight": weight, "bias": bias}, (x,))

    assert conv.bias is not None
    assert gradcheck(function, (x, conv.weight, conv.bias))
    assert gradgradcheck(function, (x, conv.weight, conv.bias))


def test_an_even_kernel_and_an_unknown_mode_are_refused() -> None:
    with pytest.raises(ValueError, match="expected an odd kernel_size, got 4"):
        UpsampleConv2d(1, 1, 4)
    with pytest.raises(ValueError, match="upsampling must be one of nearest, bilinear"):
        UpsampleConv2d(1, 1, 3, mode="cubic")
