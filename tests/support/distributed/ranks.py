"""The suite's one pair of ranks: two processes that play every case once, when a test first asks."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from support import server
from support.distributed import cases, worker

WORLD = 2
LIMIT_SECONDS = 400  # half a minute on two idle cores


def results(play: Callable[[], Any] = cases.run_all) -> list[Any]:
    """The results of ``play`` on each rank.

    Raises:
        RuntimeError: If a rank fails or all are not done in time; nothing is left running.
    """
    found = _once(play)
    if isinstance(found, str):
        raise RuntimeError(found)
    return found


@cache
def _once(play: Callable[[], Any]) -> list[dict[str, Any]] | str:
    """The results, or what went wrong: a failure too is found out once only."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, f"{rank}.pt") for rank in range(WORLD)]
        logs = [Path(folder, f"{rank}.log") for rank in range(WORLD)]
        context = server.context()
        processes = [
            context.Process(
                target=worker.main, args=(rank, WORLD, f"{folder}/rendezvous", outputs[rank], logs[rank], play)
            )
            for rank in range(WORLD)
        ]
        try:
            for process in processes:
                process.start()
            deadline = time.monotonic() + LIMIT_SECONDS
            while any(process.is_alive() for process in processes):
                if time.monotonic() > deadline or any(process.exitcode for process in processes):
                    break
                time.sleep(0.05)
        finally:
            for process in processes:
                if process.pid is not None:
                    process.kill()
                    process.join()
        codes = [process.exitcode for process in processes]
        if any(codes):
            said = "\n".join(f"rank {rank}:\n{log.read_text()[-3000:]}" for rank, log in enumerate(logs))
            return f"the ranks ended with {codes} (limit {LIMIT_SECONDS} s)\n{said}"
        return [torch.load(output, weights_only=True) for output in outputs]
