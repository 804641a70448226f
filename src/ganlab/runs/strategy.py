"""Training with several processes: replicas without a wrapper."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from torch import distributed as dist

from ganlab.core import distributed
from ganlab.core.stop_signals import WATCH, say

GRACE_SECONDS = 10.0  # for a run to fail with a sentence after a rank has ended


class ReplicaStrategy(DDPStrategy):
    """Lightning's DDP launching and process groups without ``DistributedDataParallel``.

    DDP's wrapper stops with "parameters that were not used in producing the loss" when players take
    turns, and makes double backward fragile. Here weights are broadcast once; the module averages
    each turn's gradients itself by one flattened all-reduce.
    """

    strategy_name = "ganlab"

    def setup_environment(self) -> None:
        """Join the process group, and leave it at exit: gloo's threads may abort an interpreter that ends before.

        Lightning leaves groups of NCCL only.
        """
        super().setup_environment()
        atexit.register(leave)

    def configure_ddp(self) -> None:
        assert self.model is not None
        distributed.broadcast(self.model)

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None
        self._launcher = ReplicaLauncher(self.cluster_environment, self.num_processes, self.num_nodes)


def leave() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


class ReplicaLauncher(_SubprocessScriptLauncher):
    """Lightning's launcher, with a message when a rank has ended; the original kills this process silently."""

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Any = None, **options: Any) -> Any:
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        over = threading.Event()
        if not self.cluster_environment.creates_processes_externally:
            self._call_children_scripts()
            WATCH.at_once.append(lambda number: self.kill(signal.SIGKILL))
            threading.Thread(target=self._observe, args=(over,), name="ranks", daemon=True).start()
        _set_num_threads_if_needed(num_processes=self.num_processes)
        try:
            return function(*args, **options)
        finally:
            over.set()

    def _observe(self, over: threading.Event) -> None:
        """End this process if it still runs `GRACE_SECONDS` after the end of a rank: it may wait forever."""
        while not over.wait(1.0):
            ended = [(rank, code) for rank, process in enumerate(self.procs, 1) if (code := process.poll())]
            if not ended or over.wait(GRACE_SECONDS):
                continue
            rank, code = ended[0]
            say(f"ganlab: The run ended: its rank {rank} has ended with {code}. Continue it with `ganlab resume`.")
            self.kill(signal.SIGKILL)
            os._exit(1)
