"""The suite's one pair of ranks: two processes that play every case once, when a test first asks."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch

WORLD = 2
LIMIT_SECONDS = 400  # half a minute on two idle cores
TESTS = Path(__file__).parents[2]


def results() -> list[dict[str, Any]]:
    """What `cases.run_all` gave on each rank.

    Raises:
        RuntimeError: If a rank fails or all are not done in time; nothing is left running.
    """
    found = _once()
    if isinstance(found, str):
        raise RuntimeError(found)
    return found


@cache
def _once() -> list[dict[str, Any]] | str:
    """The results, or what went wrong: a failure too is found out once only."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, f"{rank}.pt") for rank in range(WORLD)]
        logs = [Path(folder, f"{rank}.log") for rank in range(WORLD)]
        path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        processes = []
        try:
            for rank in range(WORLD):
                command = [
                    sys.executable,
                    "-m",
                    "support.distributed.worker",
                    str(rank),
                    str(WORLD),
                    f"{folder}/rendezvous",
                ]
                with logs[rank].open("w") as log:
                    processes.append(
                        subprocess.Popen(
                            [*command, str(outputs[rank])], env=environment, stdout=log, stderr=subprocess.STDOUT
                        )
                    )
            deadline = time.monotonic() + LIMIT_SECONDS
            while any(process.poll() is None for process in processes):
                if time.monotonic() > deadline or any(process.poll() for process in processes):
                    break
                time.sleep(0.05)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        codes = [process.returncode for process in processes]
        if any(codes):
            said = "\n".join(f"rank {rank}:\n{log.read_text()[-3000:]}" for rank, log in enumerate(logs))
            return f"the ranks ended with {codes} (limit {LIMIT_SECONDS} s)\n{said}"
        return [torch.load(output, weights_only=True) for output in outputs]
