"""Checkpoints: written whole or not at all, verified when read, bounded in number."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.io import CheckpointIO

from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.runs import checkpoint_check

LAST, NEXT, BEST = "last.ckpt", "next.ckpt", "best.ckpt"


class AtomicCheckpointIO(CheckpointIO):
    """Writes each checkpoint whole, and to the disk before it gets its name.

    A write that fails (a full disk) leaves what was there before and is remembered in ``failure``
    instead of raised, so that ranks which wait for rank 0 are not left waiting. Training goes on with what was
    ``checked``; the file is not read again.
    """

    def __init__(self) -> None:
        self.failure: OSError | None = None
        self.checked: dict[str, Any] | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        self.failure = None
        try:
            with files.whole(Path(path), flush=True) as file, files.for_torch(file) as target:
                torch.save(checkpoint, target)
        except OSError as error:
            self.failure = error

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        checked, self.checked = self.checked, None
        if checked is not None:
            return checked
        # on the CPU by default: a run of a GPU can be resumed without one
        return load(Path(path), "cpu" if map_location is None else map_location)

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


def failure(trainer: L.Trainer) -> OSError | None:
    """Return the error that kept the last checkpoint of a Trainer from the disk, or None."""
    io = trainer.strategy.checkpoint_io
    return io.failure if isinstance(io, AtomicCheckpointIO) else None


def load(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint as data: nothing in it can run code.

    Raises:
        GanlabError: If it is torn, altered or no checkpoint of ganlab.
    """
    try:
        with files.opened(path, "rb") as file:
            if (broken := files.damaged_member(file)) is not None:
                raise GanlabError(f"{path} is damaged: {broken} does not match its checksum.")
            checkpoint = torch.load(file, map_location=map_location, weights_only=True)
    except GanlabError:
        raise
    except FileNotFoundError as error:
        raise GanlabError(f"{path} does not exist.") from error
    except Exception as error:  # whatever a torn or foreign file makes zipfile, pickle or torch raise
        raise GanlabError(f"{path} is no whole checkpoint ({type(error).__name__}: {_short(error)}).") from error
    if not checkpoint_check.is_ours(checkpoint):
        raise GanlabError(f"{path} is no checkpoint of ganlab.")
    return dict(checkpoint)


def candidates(folder: Path) -> list[Path]:
    """Checkpoints of a run, newest first."""
    older = sorted(folder.glob("step_*.ckpt"), reverse=True)
    return [p for p in (folder / NEXT, folder / LAST) if p.is_file()] + older


def newest(folder: Path, map_location: Any = "cpu") -> tuple[Path, dict[str, Any], list[str]]:
    """Return the newest whole checkpoint, its content, and a sentence for each damaged one that was skipped.

    Raises:
        GanlabError: If there is none.
    """
    messages: list[str] = []
    for path in candidates(folder):
        try:
            return path, load(path, map_location), messages
        except GanlabError as error:
            messages.append(str(error))
    if messages:
        raise GanlabError(
            f"No checkpoint in {files.typed(folder)} is whole: {' '.join(messages)} Start the run again in another "
            f"folder, which leaves this one as it is: `ganlab train {files.typed(folder.parent)} run.dir=NEW`."
        )
    raise GanlabError(
        f"{files.typed(folder)} holds no checkpoint: the run stopped before its first one. Start it again: "
        f"`ganlab train {files.typed(folder.parent)}`."
    )


def shift(folder: Path, last_step: int | None, keep: int, before: int | None = None) -> None:
    """After NEXT was written: rename LAST to an older one and NEXT to LAST, and remove surplus ones.

    Args:
        last_step: Iteration of LAST; None: it is not kept.
        keep: Older ones that stay.
        before: The newest one from before this iteration stays too.

    After a kill between two of these steps `candidates` still finds every whole checkpoint.
    """
    wanted = keep > 0 or (before is not None and last_step is not None and last_step < before)
    if last_step is not None and (folder / LAST).is_file() and wanted:
        os.replace(folder / LAST, folder / f"step_{last_step:09d}.ckpt")
    os.replace(folder / NEXT, folder / LAST)
    older = sorted(folder.glob("step_*.ckpt"), reverse=True)
    kept = next((path for path in older if before is not None and iteration(path) < before), None)
    for surplus in older[keep:]:
        if surplus != kept:
            surplus.unlink(missing_ok=True)


def iteration(path: Path) -> int:
    """Return the iteration in the name of an older checkpoint."""
    number = path.stem.removeprefix("step_")
    return int(number) if number.isdecimal() else 0


def go_back(folder: Path, broken: int, every: int = 1) -> Path | None:
    """Make the newest whole checkpoint from before iteration ``broken`` the last one, and remove those after it.

    Args:
        every: The interval of checkpoints: others, of a run that was ended in between, do not count. So a run that is
            resumed goes back to where one that never ended does.

    Returns:
        The checkpoint; None: there is none, and nothing is removed.
    """
    for path in candidates(folder):
        try:
            at = load(path)["ganlab"]["progress"]["iteration"]
        except GanlabError:
            continue
        if at < broken and at % every == 0:
            break
    else:
        return None
    for newer in candidates(folder):
        if newer == path:
            break
        newer.unlink()
    os.replace(path, folder / LAST)
    return folder / LAST


def settle(folder: Path, keep: int) -> None:
    """Finish the renames of `shift` after a kill."""
    if not (folder / NEXT).is_file():
        return
    load(folder / NEXT)
    try:
        last_step = load(folder / LAST)["ganlab"]["progress"]["iteration"]
    except GanlabError:
        last_step = None
    shift(folder, last_step, keep)


def _short(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:120] if lines else "no detail"
