"""Back to the state from before a sign of failure, on all ranks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import distributed as dist

from ganlab.assembly import experiment
from ganlab.contracts.callback import RunContext
from ganlab.core import files, streams
from ganlab.runs import checkpoints, fine_tuning, run_folder

Resumed = tuple[Path, Mapping[str, Any]]


def leave_unbroken(run: RunContext) -> None:
    """After a session that the guard has ended: leave the newest unbroken state as the last checkpoint."""
    if run.ending.broken is None:
        return
    if streams.is_first_rank():
        every = run.experiment.config.checkpoint.every_steps
        checkpoints.go_back(run.folder / run_folder.CHECKPOINTS, run.ending.broken, every)
    if dist.is_initialized():
        dist.barrier()  # others read what is there now


def start(run: RunContext) -> tuple[experiment.Experiment, Resumed | None]:
    """Return what goes on from the newest unbroken state: the experiment, and its checkpoint; None: the beginning.

    The event gets the place in metrics.jsonl from which the run goes on.
    """
    built: experiment.Experiment = run.experiment
    path = run.folder / run_folder.CHECKPOINTS / checkpoints.LAST
    resumed = None
    if path.is_file() and (stored := checkpoints.load(path))["ganlab"]["progress"]["iteration"] < _broken(run):
        resumed = path, stored
    new = experiment.build(built.config, data=built.data)
    if resumed is None and new.config.init is not None:
        fine_tuning.start_from(new.module, new.config)
    event = run.events[-1]
    progress = {"iteration": 0, "images_seen": 0} if resumed is None else resumed[1]["ganlab"]["progress"]
    event.update(iteration=progress["iteration"], kimg=progress["images_seen"] / 1000)
    if streams.is_first_rank():
        print(
            f"guard at iteration {event['noticed']}, {event['sign']} since {event['began']}: {event['sentence']} "
            f"The run goes on from iteration {event['iteration']} with other data and latents.",
            flush=True,
        )
    return new, resumed


def said(run: RunContext) -> str:
    """Return where a run that the guard has ended can go on, as a sentence."""
    path, folder = run.folder / run_folder.CHECKPOINTS / checkpoints.LAST, files.typed(run.folder)
    if path.is_file():
        at = checkpoints.load(path)["ganlab"]["progress"]["iteration"]
        if at < _broken(run):
            return f"Its newest unbroken state, of iteration {at}, is the last checkpoint: `ganlab resume {folder}`."
        return f"There is no checkpoint from before; `ganlab resume {folder} guard=warn` goes on with the last one."
    return f"There is no checkpoint: start it again with `ganlab train {folder}` and other options."


def _broken(run: RunContext) -> int:
    assert run.ending.broken is not None
    return run.ending.broken
