"""Initial weights, against torch's own initialization."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganlab.layers.initialization import initialize


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 40, 3), nn.Linear(7, 5), nn.Linear(5, 9), nn.Embedding(4, 6), nn.ConvTranspose2d(8, 2, 4)
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_orthogonal_weights_are_torchs_own_whatever_the_threads(threads: int) -> None:
    expected, found, before = network(), network(), torch.get_num_threads()
    torch.manual_seed(0)
    for parameter in expected.parameters():
        if parameter.ndim > 1:
            nn.init.orthogonal_(parameter)
    torch.manual_seed(0)
    try:
        torch.set_num_threads(threads)
        initialize(found, "orthogonal")
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for mine, theirs in zip(found.parameters(), expected.parameters(), strict=True):
        assert torch.equal(mine, theirs) or mine.ndim == 1  # a bias
        assert mine.requires_grad
