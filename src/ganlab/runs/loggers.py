"""The loggers that ``logger=`` names, beside metrics.jsonl."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ganlab.core.errors import GanlabError, suggestion

# Those that say neither where files and the user's key go nor what else is sent along; W&B has environment variables
# for the rest.
OPTIONS = {
    "tensorboard": (
        "name", "version", "sub_dir", "prefix", "log_graph", "default_hp_metric", "max_queue", "flush_secs",
    ),
    "wandb": ("name", "project", "entity", "group", "job_type", "tags", "notes", "id", "offline", "mode", "prefix"),
}  # fmt: skip


def make(nodes: dict[str, dict[str, Any]], folder: Path, config: dict[str, Any]) -> list[Any]:
    """Lightning loggers for the names in ``logger``.

    Raises:
        GanlabError: If a package is missing, an option unknown, or Weights & Biases not logged in.
    """
    wrong = [name for name, options in (nodes or {}).items() if not isinstance(options, (dict, type(None)))]
    if wrong:
        raise GanlabError(f"logger.{wrong[0]} must be a mapping of options, got {nodes[wrong[0]]!r}.")
    return [_tolerant(_maker(name)(dict(options or {}), folder, config)) for name, options in (nodes or {}).items()]


def begin(loggers: Sequence[Any]) -> None:
    """Make what loggers write to.

    Raises:
        GanlabError: If it cannot be written.
    """
    for logger in loggers:
        try:
            _ = logger.experiment
        except OSError as error:
            raise GanlabError(f"{_name(logger)} cannot be written: {error.strerror or error}.") from error


def _tolerant(logger: Any) -> Any:
    """The logger, which stops no training when its disk is full: that is said once."""
    said: list[OSError] = []

    def tolerant(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            try:
                return method(*arguments, **options)
            except Exception as raised:
                error = raised if isinstance(raised, OSError) else raised.__cause__  # Lightning makes others of it
                if not isinstance(error, OSError):
                    raise
                if not said:
                    sentence = f"{_name(logger)} cannot be written ({error.strerror or error}): training goes on."
                    print(sentence, file=sys.stderr, flush=True)
                said.append(error)
                return None

        return call

    for name in ("log_metrics", "log_hyperparams", "log_image", "save", "finalize"):
        if hasattr(logger, name):
            setattr(logger, name, tolerant(getattr(logger, name)))
    return logger


def _name(logger: Any) -> str:
    return type(logger).__name__


def _maker(name: str) -> Callable[[dict[str, Any], Path, dict[str, Any]], Any]:
    makers = {"tensorboard": _tensorboard, "wandb": _wandb}
    if name not in makers:
        raise GanlabError(f"No logger is called {name!r}.{suggestion(name, makers)} Known: {', '.join(makers)}.")
    return makers[name]


def _tensorboard(options: dict[str, Any], folder: Path, config: dict[str, Any]) -> Any:
    from lightning.pytorch.loggers import TensorBoardLogger

    _check("tensorboard", options)
    try:
        logger = TensorBoardLogger(**{"save_dir": folder, "name": "tensorboard", **options})
    except ModuleNotFoundError as error:
        raise GanlabError('logger=tensorboard needs a package: pip install "ganlab[tensorboard]".') from error
    if not Path(logger.log_dir).resolve().is_relative_to(folder.resolve()):
        raise GanlabError(
            f"logger.tensorboard: name, version and sub_dir lead to {logger.log_dir}, which is not in the run's folder."
        )
    return logger


def _wandb(options: dict[str, Any], folder: Path, config: dict[str, Any]) -> Any:
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise GanlabError('logger=wandb needs a package: pip install "ganlab[wandb]".') from error
    from lightning.pytorch.loggers import WandbLogger

    _check("wandb", options)
    if not re.fullmatch(r"[\w-]*", str(options.get("id") or "")):
        raise GanlabError(f"logger.wandb.id must be letters, digits, - and _, got {options['id']!r}.")
    mode = os.environ.get("WANDB_MODE", "").lower()
    offline = bool(options.get("offline")) or mode in ("offline", "disabled", "dryrun")
    if not offline and not _logged_in(wandb):
        raise GanlabError(
            "logger=wandb, but nobody is logged in to Weights & Biases here: run `wandb login`, "
            "or keep the log on this machine with logger.wandb.offline=true."
        )
    resumed = {"id": found, "resume": "allow"} if (found := _wandb_run(folder)) else {}
    return WandbLogger(**{"save_dir": folder, "name": folder.name, **resumed, **options, "config": config})


def _wandb_run(folder: Path) -> str | None:
    """The id under which a run folder was logged last: W&B names its own folders run-DATE_TIME-ID."""
    runs = sorted((folder / "wandb").glob("*run-*_*-*"), key=lambda path: path.stat().st_mtime)
    names = [re.fullmatch(r"(?:offline-)?run-\d{8}_\d{6}-(.+)", run.name) for run in runs]
    return next((name[1] for name in reversed(names) if name), None)


def _logged_in(wandb: Any) -> bool:
    if "prompt" in inspect.signature(wandb.login).parameters:
        return bool(wandb.login(prompt=False))
    return bool(wandb.api.api_key)  # older versions


def _check(name: str, options: dict[str, Any]) -> None:
    """The configuration of a run may come from somebody else, and a log must not take the user's files or key along."""
    known = OPTIONS[name]
    wrong = [option for option in options if option not in known]
    if wrong:
        raise GanlabError(
            f"logger.{name} has no option {wrong[0]!r}.{suggestion(wrong[0], known)} Options: {', '.join(known)}. "
            f"A log is written into the run's folder."
        )
