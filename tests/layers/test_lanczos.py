"""Block Lanczos against singular value decompositions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ganlab.layers import lanczos


def iterate(matrices: Tensor, start: Tensor, rounds: int = 1) -> tuple[Tensor, Tensor]:
    for _ in range(rounds):
        values, start = lanczos.top_values(matrices.mT.__matmul__, matrices.__matmul__, start, min(3, start.shape[-1]))
    return values, start


@pytest.mark.parametrize(("rows", "columns"), [(1, 7), (3, 3), (5, 40)])
def test_a_start_of_the_whole_space_gives_a_decomposition(rows: int, columns: int) -> None:
    matrices = torch.randn(2, rows, columns, generator=torch.Generator().manual_seed(0))
    values, vectors = iterate(matrices, torch.eye(rows).expand(2, -1, -1))
    true = torch.linalg.svd(matrices.double())
    count = min(rows, 3)
    assert_close(values, true.S[:, :count], rtol=1e-6, atol=1e-6)
    found = (true.U.mT @ vectors.double())[:, :count, :count].abs()
    assert_close(found, torch.eye(count).double().expand(2, -1, -1), rtol=0, atol=1e-3)


def test_values_without_gaps_are_within_a_thousandth_after_weights_have_moved_by_half_of_their_size() -> None:
    """Gaussian matrices are the hard case: their largest values lie closely together."""
    draw = torch.Generator().manual_seed(1)
    matrices = torch.randn(3, 128, 300, generator=draw)
    _, vectors = iterate(matrices, torch.randn(3, 128, lanczos.BLOCK, generator=draw))
    moved = matrices + 0.5 * torch.randn(matrices.shape, generator=draw)
    values, _ = iterate(moved, vectors)
    assert_close(values[:, :3], torch.linalg.svdvals(moved.double())[:, :3], rtol=1e-3, atol=0)


def test_a_dominant_value_does_not_hide_the_small_ones_and_zeros_stay_zeros() -> None:
    """A layer at collapse: s0 is thousands of times s2. All directions but three have one value, so the space that the
    iteration spans is used up after one block, and what it adds is rounding."""
    draw = torch.Generator().manual_seed(2)
    left, right = (torch.linalg.qr(torch.randn(size, 90, generator=draw).double()).Q for size in (90, 200))
    values = torch.full((90,), 0.05).double()
    values[:3] = torch.tensor([100.0, 1.0, 0.1])
    matrix = ((left * values) @ right.mT).float()
    found, _ = iterate(torch.stack([matrix, torch.zeros_like(matrix)]), torch.randn(2, 90, 6, generator=draw), rounds=2)
    assert_close(found[0, :3], values[:3], rtol=1e-3, atol=0)
    assert_close(found[1], torch.zeros(3).double())
