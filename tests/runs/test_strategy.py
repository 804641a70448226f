"""Replicas start alike, are not wrapped, and leave their process group at exit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy
from support.engine import NormalizedGenerator
from torch import distributed as dist

from ganlab.runs import strategy
from ganlab.runs.strategy import ReplicaStrategy


def test_one_process_without_a_group_needs_no_broadcast() -> None:
    module = NormalizedGenerator()
    strategy = ReplicaStrategy()
    strategy.model = module
    before = module.conv.weight.clone()
    strategy.configure_ddp()
    assert strategy.model is module
    assert torch.equal(module.conv.weight, before)


def test_the_process_group_is_left_at_exit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gloo's threads abort some of the processes that end before."""

    def join(replicas: DDPStrategy) -> None:
        store = dist.FileStore(str(tmp_path / "store"), 1)  # type: ignore[call-arg]
        dist.init_process_group("gloo", store=store, rank=0, world_size=1)

    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr(DDPStrategy, "setup_environment", join)
    monkeypatch.setattr(strategy.atexit, "register", at_exit.append)
    ReplicaStrategy().setup_environment()
    assert dist.is_initialized()
    for leave in at_exit * 2:
        leave()
    assert not dist.is_initialized()
