"""Rows that are kept: in order, a stated number of them, and no more memory than they have."""

from __future__ import annotations

import pytest
import torch

from ganlab.contracts.metric import Batch, Stream, Tensors
from ganlab.metrics.stored import StoredFeatures, dealt


def kept(limit: int, count: int, ranks: int = 1, batch: int = 7) -> tuple[list[Tensors], Tensors]:
    """Features with their places in the stream, kept by each rank and merged."""
    summary, stream = StoredFeatures(limit), Stream(count, 2)
    parts = [summary.begin(stream) for _ in range(ranks)]
    images = torch.zeros(count, 1, 1, 1, dtype=torch.uint8)
    features = torch.arange(count).float()[:, None].expand(-1, 2)
    for number, start in enumerate(range(0, count, batch)):
        rows = slice(start, start + batch)
        parts[number % ranks].update(Batch(start, images[rows], features=features[rows]))
    found = [part.tensors() for part in parts]
    return found, summary.merge(found)


@pytest.mark.parametrize("ranks", [1, 3, 20])
@pytest.mark.parametrize("limit", [100, 40])
def test_rows_are_those_of_one_rank_in_the_order_of_the_stream(ranks: int, limit: int) -> None:
    _, whole = kept(limit, 100, ranks)
    assert len(whole["features"]) == limit
    assert torch.equal(whole["features"][:, 0].long(), whole["places"])
    assert torch.equal(whole["places"], whole["places"].sort().values.unique())
    assert torch.equal(whole["places"], kept(limit, 100)[1]["places"])


def test_one_rank_holds_the_rows_once_and_several_send_their_own_alone() -> None:
    (part,), whole = kept(40, 100)
    assert whole["features"].data_ptr() == part["features"].data_ptr()
    for part in kept(40, 100, 3)[0]:
        assert part["features"].untyped_storage().nbytes() == 4 * 2 * len(part["places"])


def test_images_are_dealt_to_blocks_of_one_size_in_no_order() -> None:
    block = dealt(Stream(103), 10)
    assert sorted(block.bincount().tolist()) == [10] * 7 + [11] * 3
    assert block[:50].bincount(minlength=10).max() < 15  # of 11: not the first five blocks
    assert torch.equal(block, dealt(Stream(103), 10))
