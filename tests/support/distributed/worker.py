"""One rank, in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist


def main(rank: int, world: int, rendezvous: str, output: Path, log: Path, play: Callable[[], Any]) -> None:
    """Play and save what it gave; what is printed goes to ``log``."""
    with log.open("w") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world, timeout=timedelta(seconds=120)
    )
    torch.save(play(), output)
    dist.barrier()
    dist.destroy_process_group()
