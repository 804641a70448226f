"""Gradients are averaged once, by ganlab, whatever wraps the discriminator; two processes of each launcher."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WRAPPERS = ("none", "ddp", "fabric", "accelerate", "fsdp", "fsdp_exact")
SCRIPT = """
import os, sys, torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
import ganlab
from ganlab.core import distributed

kind, output = sys.argv[1:]
torch.manual_seed(0)
judge = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(judge.parameters(), lr=0.1)
if kind == "ddp":
    torch.distributed.init_process_group("gloo")
    judge = DistributedDataParallel(judge)
elif kind == "none":
    torch.distributed.init_process_group("gloo")
elif kind.startswith("fsdp"):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    torch.distributed.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (2,))
    for layer in (judge[0], judge[2], judge):
        fully_shard(layer, mesh=mesh)
elif kind == "fabric":
    from lightning.fabric import Fabric
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
    fabric.launch()
    judge, optimizer = fabric.setup(judge, optimizer)
elif kind == "accelerate":
    from accelerate import Accelerator
    judge, optimizer = Accelerator(cpu=True).prepare(judge, optimizer)
averages, average = [], distributed.average
distributed.average = lambda tensors: (averages.append(1), average(tensors))[1]
if kind in ("none", "fsdp", "fsdp_exact"):
    optimizer = torch.optim.SGD(judge.parameters(), lr=0.1)
r1 = {"gamma": 0.5} if "fsdp" not in sys.argv[-1] else {"gamma": 0.5, "estimator": "finite_difference", "share": 1.0}
if kind == "fsdp_exact":
    try:
        ganlab.Adversary(judge, "non_saturating", {"r1": {}}, optimizer=optimizer)
    except ganlab.GanlabError as error:
        assert "reg=r1 differentiates twice, which FSDP" in str(error), error
    else:
        raise SystemExit("it was not refused")
adversary = ganlab.Adversary(judge, "non_saturating", {"r1": r1, "lecam": {}}, optimizer=optimizer)
draws = torch.Generator().manual_seed(1)
for _ in range(4):
    real, fake = (distributed.own(torch.randn(8, 3, generator=draws)) for _ in range(2))
    adversary.step(real, fake)
assert len(averages) == (0 if kind.startswith("fsdp") else 4), averages
weights = [p.detach() for p in adversary.game.discriminator.parameters()]
weights = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in weights]
if distributed.rank() == 0:
    torch.save(weights, output)
if torch.distributed.is_initialized():
    torch.distributed.barrier()
    os._exit(0)  # gloo's threads abort some interpreters that end while a wrapper still holds the group
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRAPPERS)
def test_two_processes_under_a_wrapper_equal_one(kind: str, tmp_path: Path) -> None:
    if kind == "accelerate" and importlib.util.find_spec(kind) is None:
        pytest.skip("accelerate is not installed")
    script = tmp_path / "loop.py"
    script.write_text(SCRIPT)
    ranks = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    _run(*ranks, str(script), kind, str(tmp_path / f"{kind}-two.pt"))
    script.write_text(SCRIPT.replace('torch.distributed.init_process_group("gloo")', "pass"))
    _run(str(script), "none", str(tmp_path / f"{kind}-one.pt"))
    for two, one in zip(*(torch.load(tmp_path / f"{kind}-{name}.pt") for name in ("two", "one")), strict=True):
        torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-6)


def _run(*words: str) -> None:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
