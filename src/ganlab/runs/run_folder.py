"""A run is a folder: config.yaml, metrics.jsonl, checkpoints/, samples/, environment.json."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from ganlab.config import configuration
from ganlab.config.configuration import Config
from ganlab.core import code_files, files, git, traceback_file
from ganlab.core.errors import GanlabError, few
from ganlab.core.run_files import CHECKPOINTS, CLASSES, CONFIG, ENVIRONMENT, SAMPLES
from ganlab.runs import plain_yaml

PROFILE = "profile.txt"
LOCK = ".lock"


def new(folder: str | None, name: str = "") -> Path:
    """Return the folder of a new run: ``folder``, or one below ``runs`` that does not exist yet.

    Args:
        name: Second part of a default name, after the time.

    Raises:
        GanlabError: If the folder holds a run already, or cannot be one.
    """
    if folder is None:
        stem = "_".join(filter(None, [datetime.now().strftime("%Y-%m-%d_%H-%M-%S"), name]))
        path, number = Path("runs") / stem, 1
        while os.path.exists(path):
            number += 1
            path = Path("runs") / f"{stem}_run{number}"
        return path.absolute()
    path = Path(os.path.expanduser(folder)).absolute()
    if os.path.exists(path) and not os.path.isdir(path):
        raise GanlabError(f"run.dir={folder} is a file; give a folder that does not exist yet.")
    if os.path.isdir(path):
        _refuse_occupied(path, folder)
    return path


def _refuse_occupied(path: Path, folder: str) -> None:
    """Refuse a folder that is not empty, unless it holds a run without a checkpoint."""
    refuse_links(path)
    if has_checkpoint(path):
        from ganlab.runs import checkpoints

        checkpoints.newest(path / CHECKPOINTS)  # raises, with advice, if none is whole
        raise GanlabError(f"run.dir={folder} holds a run already: continue it with `ganlab resume {folder}`.")
    found = sorted(entry.name for entry in path.iterdir() if not _is_of_a_start(entry))
    if not found:
        return
    try:
        read_config(path)
    except GanlabError as error:
        raise GanlabError(
            f"run.dir={folder} holds other things ({few(found)}): give a folder that is empty or does not exist yet."
        ) from error


def has_checkpoint(folder: Path) -> bool:
    """Tell if a run has a checkpoint to go on from; a run that was killed early may have ``best.ckpt`` alone."""
    # isdir takes what can be no path, such as a name that is too long, and glob does not
    if not os.path.isdir(folder / CHECKPOINTS) or not any((folder / CHECKPOINTS).glob("*.ckpt")):
        return False
    from ganlab.runs import checkpoints

    return bool(checkpoints.candidates(folder / CHECKPOINTS))


def _is_of_a_start(entry: Path) -> bool:
    """Tell if an entry may exist in the folder of a starting run before `CONFIG` does."""
    empty = entry.name == CHECKPOINTS and entry.is_dir() and not any(entry.iterdir())
    return empty or entry.name == LOCK or files.is_part(entry.name)


def refuse_links(folder: Path) -> None:
    """Refuse links: a run folder may come from somebody else, and files written into it must stay in it.

    Links that Weights & Biases makes inside its own folder are allowed, and the one to its service's log in its cache,
    in a folder of a session that has ended: nothing is written there any more.

    Raises:
        GanlabError: If an entry of the folder is a link, or a link below leads out of the folder.
    """
    home = folder.resolve()
    for where, folders, names in os.walk(folder):
        for entry in (Path(where, name) for name in (*folders, *names)):
            if _is_log_of_wandb(entry.relative_to(folder)):
                continue
            if entry.is_symlink() and (entry.parent == folder or not _is_below(entry, home)):
                raise GanlabError(
                    f"{entry} is a link, and a run's files are in its folder: replace it by the file "
                    f"or folder itself if you know where it comes from, or remove it."
                )


def _is_log_of_wandb(path: Path) -> bool:
    return len(path.parts) == 4 and path.match("wandb/*run-*/logs/debug-core.log")


def _is_below(path: Path, home: Path) -> bool:
    try:
        return path.resolve().is_relative_to(home)
    except (OSError, RuntimeError):  # links in a circle
        return False


@contextmanager
def claimed(folder: str | os.PathLike[str] | None, again: bool = False, name: str = "") -> Iterator[Path]:
    """Lock a run folder for this process; make it if it is new, and remove it if it stays empty.

    Args:
        folder: The folder; None: a new one, see `new`.
        again: The folder holds a run to resume.
        name: See `new`.

    Raises:
        GanlabError: If the folder cannot be made, or another process trains in it.
    """
    if again and folder is not None:
        path = Path(folder).absolute()
        refuse_links(path)
    else:
        path = new(None if folder is None else str(folder), name)
    made = [parent for parent in (path, *path.parents) if not os.path.exists(parent)]
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
        with traceback_file.of_run(path):
            yield path
    finally:
        with suppress(OSError):
            (path / LOCK).unlink(missing_ok=True)
        lock.release()
        for parent in made:
            try:
                parent.rmdir()
            except OSError:  # it is not empty
                break


def clean(folder: Path) -> None:
    """Remove temporary files of interrupted writes from a run."""
    for part in (folder, folder / CHECKPOINTS, folder / SAMPLES):
        files.clean(part)


def existing(folder: str | os.PathLike[str]) -> Path:
    """The folder of a run.

    Raises:
        GanlabError: If it is none, or holds links, see `refuse_links`.
    """
    path = files.named(folder, "a run folder")
    if not os.path.exists(path):
        raise GanlabError(f"There is no run folder {folder}.")
    if not os.path.isfile(path / CONFIG):
        above = path.parent.parent
        if os.path.isfile(path) and os.path.isfile(above / CONFIG):
            raise GanlabError(f"{folder} is a file of a run, and its folder is asked for: give {above}.")
        where = f"{folder} is a file" if os.path.isfile(path) else f"{folder} has no {CONFIG}"
        raise GanlabError(f"{where}, so it is no run folder: give the folder that `ganlab train` named.")
    path = path.absolute()
    refuse_links(path)
    return path


def read_config(folder: Path) -> Config:
    """The complete configuration of a run, as it is written: no interpolation in it is resolved.

    Raises:
        GanlabError: If it cannot be read, its values are wrong, or it needs a file of a user's own that is not named.
    """
    plain = read_plain(folder)
    hashes = plain.get(code_files.OPTION)
    known = hashes if isinstance(hashes, dict) else {}
    components = configuration.component_names(plain)
    code_files.refuse_changed([name for _, name in components], known, files.typed(folder))
    code_files.choose(components)
    try:
        return configuration.checked(plain)
    except GanlabError as error:
        raise GanlabError(f"{folder / CONFIG}: {error}") from error


def read_plain(folder: Path) -> dict[str, Any]:
    """The same as plain data, with whatever values.

    Raises:
        GanlabError: If it cannot be read.
    """
    try:
        plain = plain_yaml.read(folder / CONFIG)
    except OSError as error:
        raise files.unreadable(folder / CONFIG, error) from error
    except ValueError as error:
        raise GanlabError(f"{folder / CONFIG} is no configuration of a run: {error}.") from error
    if not isinstance(plain, dict) or not plain:
        raise GanlabError(f"{folder / CONFIG} holds no configuration.")
    return plain


def write_config(folder: Path, config: Config) -> None:
    files.write_text(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(config.plain())))


def write_environment(folder: Path, data: Mapping[str, Any] | None = None) -> None:
    """Write versions, commits, machine, command line and a description of the data, see `ganlab.data.contents`."""
    import torch

    packages = ("ganlab", "torch", "lightning", "hydra-core", "omegaconf", "numpy", "pillow")
    content = {
        "time": datetime.now().isoformat(timespec="seconds"),
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in packages},
        "commits": _commits(),
        "threads": torch.get_num_threads(),
        "cuda": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "data": data,
    }
    files.write_text(folder / ENVIRONMENT, json.dumps(content, indent=2) + "\n")


def _commits() -> dict[str, str | None]:
    """Return the git commits of the current folder and of ganlab, which is a checkout where it is developed."""
    source = Path(__file__)
    installed = "site-packages" in source.parts
    return {"folder": git.commit(Path()), "ganlab": None if installed else git.commit(source)}


def write_class_names(folder: Path, names: Sequence[str]) -> None:
    """Write the class names of the data, unless they are numbers; pictures of the run use them."""
    if list(names) != [str(number) for number in range(len(names))]:
        files.write_text(folder / CLASSES, json.dumps(list(names)) + "\n")


def class_names(folder: Path) -> tuple[str, ...]:
    """Read the class names of a run; empty if there are none or the file is damaged."""
    try:
        names = json.loads(files.read(folder / CLASSES))
    except (OSError, ValueError, RecursionError):
        return ()
    known = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if known else ()
