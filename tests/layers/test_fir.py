"""Filters against sums written from the formula, nearest upsampling and average pooling."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from ganlab.layers.fir import FIRFilter

KINDS = pytest.mark.parametrize("resample", ["same", "up", "down"])
TAPS = ([1, 2, 1], [1, 3, 3, 1], [1, 1], [1, 2, 4, 3, 1], [3, 1, 2, 1, 5, 6])


def naive(x: torch.Tensor, taps: Sequence[float], resample: str) -> torch.Tensor:
    """The formula along the last axis."""
    f, k = [t / sum(taps) for t in taps], len(taps)
    if resample == "up":
        x = torch.stack([x, torch.zeros_like(x)], -1).flatten(-2)
    before = {"same": k // 2, "up": (k + 1) // 2, "down": (k - 1) // 2}[resample]
    count, step = x.shape[-1] // (2 if resample == "down" else 1), 2 if resample == "down" else 1
    out = torch.zeros(*x.shape[:-1], count, dtype=x.dtype)
    for o in range(count):
        for i, weight in enumerate(f):
            at = step * o + i - before
            if 0 <= at < x.shape[-1]:
                out[..., o] += weight * x[..., at] * (2 if resample == "up" else 1)
    return out


@KINDS
@pytest.mark.parametrize("taps", TAPS)
def test_each_axis_is_filtered_as_the_formula_says(taps: list[int], resample: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 4)
    rows = naive(x, taps, resample)
    expected = naive(rows.transpose(2, 3), taps, resample).transpose(2, 3)
    bias = torch.tensor([1.0, -2.0, 3.0])
    layer = FIRFilter(taps, resample)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer(x, bias), expected + bias.view(3, 1, 1), rtol=1e-5, atol=1e-6)


def test_two_equal_taps_are_nearest_upsampling_and_average_pooling() -> None:
    x = torch.randn(2, 3, 4, 6)
    torch.testing.assert_close(FIRFilter([1, 1], "up")(x), F.interpolate(x, scale_factor=2.0))
    torch.testing.assert_close(FIRFilter([1, 1], "down")(x), F.avg_pool2d(x, 2))


@KINDS
def test_it_has_first_and_second_derivatives_keeps_types_and_runs_in_channels_last(resample: str) -> None:
    torch.manual_seed(0)
    layer = FIRFilter([1, 3, 3, 1], resample)
    x = torch.randn(1, 2, 4, 4)
    expected = layer(x)
    torch.testing.assert_close(layer(x.contiguous(memory_format=torch.channels_last)), expected)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(x).float(), expected, rtol=0.02, atol=0.02)
    double = x.double().requires_grad_()
    assert gradcheck(lambda x: layer.double()(x).square(), (double,))
    assert gradgradcheck(lambda x: layer(x).square(), (double,))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"whose sum is not 0, got \[1, -1\]"):
        FIRFilter([1, -1])
    with pytest.raises(ValueError, match=r"one of same, up, down, got 'upp'\. Did you mean 'up'"):
        FIRFilter([1, 2, 1], "upp")
