"""Replicas start alike and are not wrapped."""

import torch
from support.engine import NormalizedGenerator

from ganlab.runs.strategy import ReplicaStrategy


def test_one_process_without_a_group_needs_no_broadcast() -> None:
    module = NormalizedGenerator()
    strategy = ReplicaStrategy()
    strategy.model = module
    before = module.conv.weight.clone()
    strategy.configure_ddp()
    assert strategy.model is module
    assert torch.equal(module.conv.weight, before)
