"""The option ``tf32``: torch's flags can be set and read without a GPU."""

from __future__ import annotations

import pytest
import torch

from ganlab.runs import tf32

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def flags() -> tuple[str, bool, bool]:
    # the first two are what Lightning and torch.compile ask for; they fail where newer names were set in part
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(
    ("wanted", "device", "expected"),
    [
        (True, CUDA, ("high", True, True)),
        (False, CUDA, ("highest", False, False)),
        ("auto", CUDA, ("highest", True, False)),
        (True, CPU, ("highest", True, False)),
    ],
)
def test_products_are_as_asked_for_inside_and_as_before_after(
    wanted: bool | str, device: torch.device, expected: tuple[str, bool, bool]
) -> None:
    before = flags()
    with pytest.raises(KeyError), tf32.chosen(wanted, device):  # also after a failure
        assert flags() == expected
        raise KeyError
    assert flags() == before == ("highest", True, False)


def test_the_start_says_it_on_a_gpu_and_where_it_has_no_effect() -> None:
    assert tf32.said("auto", CUDA) == ["tf32: convolutions, as PyTorch has it"]
    with tf32.chosen(True, CUDA):  # as somebody's own code may have set it
        assert tf32.said("auto", CUDA) == ["tf32: convolutions and matrix products, as PyTorch has it"]
    assert tf32.said(True, CUDA) == ["tf32: convolutions and matrix products"]
    assert tf32.said(False, CUDA) == ["tf32: none"]
    assert tf32.said(True, CPU) == ["tf32: no effect, the run is on the cpu"]
    assert tf32.said("auto", CPU) == tf32.said(False, CPU) == []
