"""The product of matrices against torch's convolution."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradgradcheck

from ganlab.layers.pointwise import PointwiseConv2d


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_pointwise_convolution_is_torchs(layout: torch.memory_format, bias: bool) -> None:
    torch.manual_seed(0)
    layer = PointwiseConv2d(3, 5, bias=bias).double().to(memory_format=layout)
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    out, expected = layer(x), F.conv2d(x, layer.weight, layer.bias)
    torch.testing.assert_close(out, expected)
    assert out.is_contiguous(memory_format=layout)
    wanted = [x, *layer.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad(out.sin().sum(), wanted), torch.autograd.grad(expected.sin().sum(), wanted)
    )
    assert gradgradcheck(layer, (x,))
