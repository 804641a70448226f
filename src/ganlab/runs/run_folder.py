"""A run is a folder: config.yaml, metrics.jsonl, checkpoints/, samples/, environment.json."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganlab.core import files
from ganlab.core.errors import GanlabError

CONFIG, METRICS, ENVIRONMENT = "config.yaml", "metrics.jsonl", "environment.json"
CHECKPOINTS, SAMPLES = "checkpoints", "samples"
LOCK = ".lock"
# What a configuration consists of; those of NESTED hold one mapping a name.
NETWORKS_AND_GAME = ("generator", "game", "prior", "optimizer", "data")
SECTIONS = (*NETWORKS_AND_GAME, "ema", "checkpoint", "sample", "evaluate", "run", "trainer")
OPTIONAL_SECTIONS = ("discriminator", "encoder", "statistics", "loss", "reg", "augment", "growth", "clip", "logger")
NESTED = ("optimizer", "reg")


def new(folder: str | None, name: str = "") -> Path:
    """Where a new run goes: ``folder``, or one below ``runs`` that does not exist yet.

    Args:
        name: What follows the time in the name of the folder, if none is given.

    Raises:
        GanlabError: If the folder holds a run already, or cannot be one.
    """
    if folder is None:
        stem = "_".join(filter(None, [datetime.now().strftime("%Y-%m-%d_%H-%M-%S"), name]))
        path, number = Path("runs") / stem, 1
        while path.exists():
            number += 1
            path = Path("runs") / f"{stem}_run{number}"
        return path.absolute()
    path = Path(folder).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise GanlabError(f"run.dir={folder} is a file; give a folder that does not exist yet.")
    if (path / CHECKPOINTS).is_dir() and any((path / CHECKPOINTS).glob("*.ckpt")):
        raise GanlabError(f"run.dir={folder} holds a run already: continue it with `ganlab resume {folder}`.")
    return path


@contextmanager
def claimed(folder: str | os.PathLike[str] | None, again: bool = False, name: str = "") -> Iterator[Path]:
    """A run folder for this process alone: made if it is new, and taken back if nothing was put into it.

    Args:
        folder: Where the run goes; None: a new folder, see `new`.
        again: The folder holds a run that is to go on.
        name: See `new`.

    Raises:
        GanlabError: If the folder cannot be made, or another process trains in it.
    """
    path = (
        Path(folder).absolute() if again and folder is not None else new(None if folder is None else str(folder), name)
    )
    made = [parent for parent in (path, *path.parents) if not parent.exists()]
    try:
        while True:
            try:
                path.mkdir(parents=True, exist_ok=folder is not None)
                break
            except FileExistsError:  # another run that was started in the same second
                path = new(None, name)
                made[:1] = [path]
    except OSError as error:
        raise GanlabError(f"The run folder {path} cannot be made: {error.strerror or error}.") from error
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise GanlabError(
            f"Another process is training in {path}: wait for it or stop it first, or take another run.dir."
        ) from error
    except (OSError, NotImplementedError):  # a file system without locks, or full
        pass
    try:
        yield path
    finally:
        with suppress(OSError):
            (path / LOCK).unlink(missing_ok=True)
        lock.release()
        for parent in made:
            try:
                parent.rmdir()
            except OSError:  # something is in it
                break


def existing(folder: str | os.PathLike[str]) -> Path:
    """The folder of a run.

    Raises:
        GanlabError: If it is none.
    """
    path = Path(folder).expanduser()
    if not path.exists():
        raise GanlabError(f"There is no run folder {folder}.")
    if not (path / CONFIG).is_file():
        above = path.parent.parent
        if path.is_file() and (above / CONFIG).is_file():
            raise GanlabError(f"{folder} is a file of a run, and its folder is asked for: give {above}.")
        where = f"{folder} is a file" if path.is_file() else f"{folder} has no {CONFIG}"
        raise GanlabError(f"{where}, so it is no run folder: give the folder that `ganlab train` named.")
    return path.absolute()


def read_config(folder: Path) -> dict[str, Any]:
    """The complete, resolved configuration of a run.

    Raises:
        GanlabError: If it cannot be read.
    """
    try:
        config = OmegaConf.to_container(OmegaConf.load(folder / CONFIG), resolve=True)
    except (OSError, OmegaConfBaseException, ValueError, AttributeError) as error:
        raise GanlabError(f"{folder / CONFIG} cannot be read: {str(error).splitlines()[0]}.") from error
    except Exception as error:  # yaml's own errors; yaml is OmegaConf's dependency, not ours
        raise GanlabError(f"{folder / CONFIG} is no YAML: {' '.join(str(error).split())[:150]}.") from error
    check(config, folder)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def check(config: Any, folder: Path) -> None:
    """Whether a configuration that somebody may have edited has the form of one; values are checked by who reads them.

    Raises:
        GanlabError: If not.
    """
    if not isinstance(config, dict) or not config:
        raise GanlabError(f"{folder / CONFIG} holds no configuration.")
    for name in (*SECTIONS, *OPTIONAL_SECTIONS):
        section = config.get(name)
        inner = section.values() if name in NESTED and isinstance(section, dict) else ()
        if section is None and name in OPTIONAL_SECTIONS:
            continue
        if not isinstance(section, dict) or not all(isinstance(key, str) for key in section):
            raise GanlabError(f"{folder / CONFIG}: {name} must be a mapping of options, got {section!r}.")
        if not all(isinstance(node, dict) for node in inner):
            raise GanlabError(f"{folder / CONFIG}: each entry of {name} must be a mapping of options, got {section!r}.")


def write_config(folder: Path, config: dict[str, Any]) -> None:
    files.write_text(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(config)))


def write_environment(folder: Path) -> None:
    """Versions, machine and command line."""
    import torch

    packages = ("ganlab", "torch", "lightning", "hydra-core", "omegaconf", "numpy", "pillow")
    content = {
        "time": datetime.now().isoformat(timespec="seconds"),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in packages},
        "threads": torch.get_num_threads(),
        "cuda": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }
    files.write_text(folder / ENVIRONMENT, json.dumps(content, indent=2) + "\n")
