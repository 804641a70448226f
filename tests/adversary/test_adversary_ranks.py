"""Two processes train what one process trains, whoever averages the gradients."""

from __future__ import annotations

import pytest
import torch
from support import adversaries
from support.distributed import ranks
from torch.testing import assert_close


@pytest.mark.parametrize("case", adversaries.CASES)
def test_two_processes_equal_one(case: str) -> None:
    first, second = (found[case] for found in ranks.results(adversaries.play_cases))
    assert torch.equal(first, second)
    assert_close(first, adversaries.play_cases()[case], rtol=1e-5, atol=1e-6)
