"""Minibatch standard deviation against loops over groups, and ranks against one process."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from ganlab.core import distributed
from ganlab.layers.minibatch_stddev import MinibatchStddev


def naive(x: torch.Tensor, groups: list[list[int]], unbiased: bool) -> torch.Tensor:
    """For each image the mean over channels and positions of √(variance over its group + 1e-8)."""
    out = torch.zeros(len(x))
    for group in groups:
        members = [x[i] for i in group]
        mean = torch.stack(members).mean(0)
        variance = torch.stack([(m - mean) ** 2 for m in members]).sum(0) / (len(group) - unbiased)
        for i in group:
            out[i] = (variance + 1e-8).sqrt().mean()
    return out


@pytest.mark.parametrize(
    ("variant", "batch", "groups"),
    [
        ("original", 8, [[0, 2, 4, 6], [1, 3, 5, 7]]),
        ("original", 3, [[0, 1, 2]]),
        ("original", 6, [[0, 1, 2, 3, 4, 5]]),
        ("original", 10, [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]),
        ("original", 1, [[0]]),
        ("gan_zoo", 8, [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ("gan_zoo", 6, [[0, 1, 2, 3, 4, 5]]),
        ("gan_zoo", 10, [list(range(10))]),
    ],
)
def test_it_equals_a_loop_over_groups(variant: str, batch: int, groups: list[list[int]]) -> None:
    torch.manual_seed(0)
    x = torch.randn(batch, 3, 2, 2)
    found = MinibatchStddev(4, variant)(x)
    assert found.shape == (batch, 4, 2, 2)
    assert torch.equal(found[:, :3], x)
    expected = naive(x, groups, variant == "gan_zoo")
    torch.testing.assert_close(found[:, 3], expected[:, None, None].expand(-1, 2, 2))


def test_a_single_image_has_no_deviation_in_the_variant() -> None:
    assert not MinibatchStddev(4, "gan_zoo")(torch.randn(1, 3, 2, 2))[:, 3].any()


@pytest.mark.parametrize("variant", ["original", "gan_zoo"])
def test_ranks_together_have_the_groups_of_one_process(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks of four images: in the original every group has images of both."""
    torch.manual_seed(0)
    whole = torch.randn(8, 3, 2, 2)
    expected = MinibatchStddev(4, variant)(whole)
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "gather", lambda own: whole)
    for rank in (0, 1):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        torch.testing.assert_close(MinibatchStddev(4, variant)(whole.chunk(2)[rank]), expected.chunk(2)[rank])


@pytest.mark.parametrize("variant", ["original", "gan_zoo"])
def test_it_has_first_and_second_derivatives_and_keeps_types(variant: str) -> None:
    torch.manual_seed(0)
    layer = MinibatchStddev(2, variant)
    x = torch.randn(4, 2, 1, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(layer, (x,))
    assert gradgradcheck(layer, (x,))
    exact = layer(x.detach().float())
    last = layer(x.detach().float().contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, exact)
    half = layer(x.detach().bfloat16())
    assert half.dtype is torch.bfloat16
    torch.testing.assert_close(half.float(), exact, rtol=0.02, atol=0.02)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="group_size must be at least 2, got 1"):
        MinibatchStddev(1)
    with pytest.raises(ValueError, match="variant must be one of original, gan_zoo, got 'zoo'"):
        MinibatchStddev(4, "zoo")
