"""Norms of gradients: any memory format, finite slopes at zero."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from ganlab.regularizers.gradient_norm import power_of_norm, squared_norm


@pytest.mark.parametrize("shape", [(3, 2, 4, 5), (3, 2), (3,), (3, 2, 2, 2, 2)])
def test_it_sums_squares_of_every_image(shape: tuple[int, ...]) -> None:
    g = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = torch.stack([sum(v**2 for v in image.flatten()) for image in g])
    assert_close(squared_norm(g), expected)


class Operations(TorchDispatchMode):
    """Names of the operations that tensors go through."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


def test_it_makes_no_copy_of_channels_last_gradients() -> None:
    """One temporary, the squares, in the gradient's own strides."""
    g = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    with Operations() as operations:
        squared_norm(g)
    assert operations.names == ["pow", "sum"]


@pytest.mark.parametrize("exponent", [1.0, 1.5, 2.0, 6.0])
def test_slopes_are_right_to_second_order_and_zero_at_zero(exponent: float) -> None:
    def of_gradient(g: Tensor) -> Tensor:
        return power_of_norm(squared_norm(g), exponent)

    g = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert_close(of_gradient(g), torch.linalg.vector_norm(g, dim=1) ** exponent)
    torch.autograd.gradcheck(of_gradient, g)
    torch.autograd.gradgradcheck(of_gradient, g)
    zero = torch.zeros(2, 3, requires_grad=True)
    value = of_gradient(zero)
    (first,) = torch.autograd.grad(value.sum(), zero, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), zero)
    for tensor in (value, first, second):
        assert tensor.isfinite().all()
    assert_close(first, torch.zeros(2, 3))
