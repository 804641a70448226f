"""Replicas start alike and are not wrapped."""

import torch
from distributed.ranks import results
from engine import NormalizedGenerator

from ganlab.strategy import ReplicaStrategy


def test_every_rank_starts_with_the_parameters_and_buffers_of_rank_zero() -> None:
    first, second = (rank["broadcast"] for rank in results())
    assert not torch.equal(first["before"], second["before"])
    assert torch.equal(first["conv.weight"], first["before"])
    for name in NormalizedGenerator().state_dict():
        assert torch.equal(first[name], second[name]), name
        assert first[name].stride() == second[name].stride(), name
    assert second["norm.num_batches_tracked"] == 5
    assert first["norm.running_mean"].abs().sum() > 0


def test_no_module_is_wrapped() -> None:
    assert not any(bool(rank["broadcast"]["wrapped"]) for rank in results())


def test_one_process_without_a_group_needs_no_broadcast() -> None:
    module = NormalizedGenerator()
    strategy = ReplicaStrategy()
    strategy.model = module
    before = module.conv.weight.clone()
    strategy.configure_ddp()
    assert strategy.model is module
    assert torch.equal(module.conv.weight, before)
