"""Sentences for processes of a run that cannot connect, or of which one has ended."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import lightning as L
from torch import distributed as dist

from ganlab.core import files
from ganlab.core.errors import RankLostError
from ganlab.engine.module import GameModule


def lost(error: RuntimeError, trainer: L.Trainer, module: GameModule, folder: Path) -> RankLostError | None:
    """Return the sentence for a failed communication: another process has ended. Return None for other errors.

    End the processes that this one has started, as they may wait for each other.
    """
    if trainer.world_size == 1 or not of_communication(error):
        return None
    launcher = trainer.strategy.launcher
    if launcher is not None:
        launcher.kill(signal.SIGKILL)
    if not dist.is_initialized():
        where = ":".join(os.environ.get(name, "?") for name in ("MASTER_ADDR", "MASTER_PORT"))
        return RankLostError(
            f"The {trainer.world_size} processes of the run did not meet at {where}: start the same command on each of "
            f"the {trainer.num_nodes} nodes, or take trainer.num_nodes=1."
        )
    return RankLostError(
        f"The run ended after iteration {module.progress.iteration}: one of its {trainer.world_size} processes has "
        f"ended or cannot be reached. Continue with: ganlab resume {files.typed(folder)}"
    )


def of_communication(error: BaseException) -> bool:
    """Tell if an error was raised inside ``torch.distributed``: gloo's are plain RuntimeErrors."""
    trace, name = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        trace = trace.tb_next
    return isinstance(error, dist.DistError) or name.startswith("torch.distributed")
