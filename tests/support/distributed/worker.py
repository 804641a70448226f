"""One rank: ``python -m support.distributed.worker RANK WORLD RENDEZVOUS OUTPUT``."""

from __future__ import annotations

import sys
from datetime import timedelta

import torch
from torch import distributed as dist

from support.distributed import cases


def main(rank: int, world: int, rendezvous: str, output: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world, timeout=timedelta(seconds=120)
    )
    torch.save(cases.run_all(), output)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
