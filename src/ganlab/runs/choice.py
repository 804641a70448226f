"""The checkpoint and the device that a command names: ``checkpoint=best``, ``device=cuda:1``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch

from ganlab.core import files
from ganlab.core.errors import GanlabError, shortened, suggestion
from ganlab.runs import checkpoints, run_folder
from ganlab.runs.checkpoints import BEST

NEWEST, ALL = "last", "all"

Which = str | int | os.PathLike[str]


def named(run: str | os.PathLike[str], which: Which = NEWEST) -> tuple[Path, Which]:
    """Return the folder of a run and the name of its checkpoint, from arguments of `ganlab.runs.run.Run`.

    Raises:
        GanlabError: If there is no such run, or two checkpoints are named.
    """
    path = files.named(run, "a run folder")
    if not os.path.isfile(path) or not os.path.isfile(path.parent.parent / run_folder.CONFIG):
        return run_folder.existing(run), which
    if which != NEWEST:
        raise GanlabError(f"{run} and checkpoint={which} name a checkpoint each: leave one of them out.")
    return run_folder.existing(path.absolute().parent.parent), path.absolute()


def opened(folder: Path, which: Which) -> tuple[Path, dict[str, Any], list[str]]:
    """Return a checkpoint of a run, its content, and a sentence for each damaged one that was skipped.

    Args:
        which: ``last``, the newest whole one; or as in `path_of`.

    Raises:
        GanlabError: If there is none, or it is damaged.
    """
    if which == NEWEST:
        return checkpoints.newest(folder / run_folder.CHECKPOINTS)
    path = path_of(folder, which)
    return path, checkpoints.load(path), []


def path_of(folder: Path, which: Which) -> Path:
    """Return the file of a named checkpoint, other than ``last``.

    Raises:
        GanlabError: If there is none.
    """
    wanted, where = str(which), folder / run_folder.CHECKPOINTS
    there = _there(where)
    for path in there:
        if wanted in (path.name, path.stem):
            return path
    if wanted.isdigit():
        stepped = next((path for path in there if path.stem == f"step_{int(wanted):09d}"), None)
        found = stepped or next((path for path in there if _iteration(path) == int(wanted)), None)
        if found is not None:
            return found
    elsewhere = Path(os.path.expanduser(wanted))
    if os.path.isfile(elsewhere):
        return elsewhere.absolute()
    names = [path.stem for path in there]
    listed = ", ".join(names) or "none"
    if wanted == Path(BEST).stem:
        raise GanlabError(
            f"{folder} has no best checkpoint: a run keeps one where evaluate.every_kimg= is set. There are: {listed}."
        )
    raise GanlabError(
        f"{folder} has no checkpoint {wanted!r}.{suggestion(wanted, names)} There are: {listed}; or last, all (of "
        f"`ganlab evaluate`), or the path of a file."
    )


def several(folder: Path, which: Which) -> list[Path]:
    """Return the checkpoints of a run to evaluate: the named one, or ``all`` whole ones by iteration.

    With ``last`` or ``all`` damaged ones are skipped with a message.

    Raises:
        GanlabError: If there is none.
    """
    where = folder / run_folder.CHECKPOINTS
    if which == NEWEST:
        path, _, damaged = checkpoints.newest(where)
        for message in damaged:
            print(f"{message} The one before it, {path.name}, is evaluated.", file=sys.stderr)
        return [path]
    if which != ALL:
        return [path_of(folder, which)]
    iterations = {}
    for path in reversed(_there(where)):
        try:
            iterations[checkpoints.load(path)["ganlab"]["progress"]["iteration"]] = path
        except GanlabError as error:
            print(f"{error} It is passed over.", file=sys.stderr)
    if not iterations:
        raise GanlabError(f"{where} holds no checkpoint to evaluate.")
    return [iterations[number] for number in sorted(iterations)]


def device(name: str | torch.device) -> torch.device:
    """The device of this name; ``auto``: a GPU if there is one.

    Raises:
        GanlabError: If there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError):
        found = torch.device("meta")
    if found.type == "meta":  # has shapes and no numbers
        there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        there += ["mps"] if torch.backends.mps.is_available() else []
        raise GanlabError(
            f"There is no device={shortened(str(name))} here, only {', '.join(there)}; device=auto is a GPU if there "
            f"is one."
        )
    return found


def _there(where: Path) -> list[Path]:
    return [*checkpoints.candidates(where), *(path for path in [where / BEST] if os.path.isfile(path))]


def _iteration(path: Path) -> int | None:
    try:
        return int(checkpoints.load(path)["ganlab"]["progress"]["iteration"])
    except GanlabError:
        return None
