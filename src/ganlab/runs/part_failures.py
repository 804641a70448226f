"""Callbacks and loggers that fail: the run ends after the iteration, with a checkpoint and a sentence."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import lightning as L
from torch import Tensor

from ganlab.config import configuration
from ganlab.contracts.callback import RunContext
from ganlab.core import files, traceback_file
from ganlab.core.differences import is_data
from ganlab.core.errors import GanlabError, PartFailedError, sentence
from ganlab.runs import ranks

HOOKS = tuple(
    name for name in dir(L.Callback) if name.startswith("on_") or name in ("setup", "teardown", "load_state_dict")
)
LOGS = ("log_metrics", "log_hyperparams", "log_image", "log_graph", "save", "finalize", "after_save_checkpoint")


def callback(made: L.Callback, key: str, run: RunContext) -> L.Callback:
    """Catch the errors of the callback ``key``; the first one ends the run after the iteration."""
    for name in HOOKS:
        if getattr(type(made), name) is not getattr(L.Callback, name):
            _replace(made, name, functools.partial(_noted, key, run, name))
    if type(made).state_dict is not L.Callback.state_dict:
        _replace(made, "state_dict", functools.partial(_state, key, run))
    return made


def logger(made: Any, key: str, run: RunContext) -> Any:
    """Catch the errors of a logger likewise; a full disk or a lost server is reported once and does not end the run."""
    said: list[OSError] = []
    for name in LOGS:
        if hasattr(made, name):
            _replace(made, name, functools.partial(_noted_but_for_full_disks, key, run, name, said))
    return made


def note(error: Exception, key: str, hook: str, run: RunContext) -> None:
    """Remember the first failure of the session as a sentence.

    Raises:
        Exception: The error itself, if it is of the communication between ranks and so no failure of the hook.
    """
    if ranks.of_communication(error):
        raise error
    if run.ending.failure is not None:
        return
    if isinstance(error, GanlabError):  # with its author's message
        run.ending.failure = GanlabError(f"{key} has ended the run: {sentence(error)}{_how_to_go_on(key, run)}")
        run.ending.failure.exit_code = error.exit_code
        return
    path, _ = traceback_file.write(error, sys.argv[1:])
    run.ending.failure = PartFailedError(
        f"{key} failed in {hook}, so the run has ended after iteration {_progress(run).iteration}: "
        f"{type(error).__name__}: {sentence(error)} The traceback is in {path}.{_how_to_go_on(key, run)}"
    )


def _replace(made: Any, name: str, call: Callable[..., Any]) -> None:
    method = getattr(made, name)

    @functools.wraps(method)  # Lightning compares what is overridden
    def caught(*arguments: Any, **options: Any) -> Any:
        return call(method, *arguments, **options)

    setattr(made, name, caught)


def _noted(key: str, run: RunContext, hook: str, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    try:
        return method(*arguments, **options)
    except Exception as error:
        note(error, key, hook, run)


def _noted_but_for_full_disks(
    key: str,
    run: RunContext,
    hook: str,
    said: list[OSError],
    method: Callable[..., Any],
    *arguments: Any,
    **options: Any,
) -> Any:
    try:
        return method(*arguments, **options)
    except Exception as raised:
        error = raised if isinstance(raised, OSError) else raised.__cause__  # Lightning makes others of it
        if not isinstance(error, OSError):
            return note(raised, key, hook, run)
        if not said:
            print(
                f"{key} cannot be written ({error.strerror or error}): training goes on.", file=sys.stderr, flush=True
            )
        said.append(error)


def _state(key: str, run: RunContext, method: Callable[[], Any]) -> dict[str, Any]:
    """Return a state that a checkpoint can hold, or note a failure."""
    try:
        state: dict[str, Any] = method()
        if not is_data(state, tensor=lambda value: type(value) is Tensor):
            raise TypeError("the state of a callback is a mapping of numbers, words, tensors, lists and mappings")
        return state
    except Exception as error:
        note(error, key, "state_dict", run)
        return {}


def _progress(run: RunContext) -> Any:
    return run.experiment.module.progress


def _how_to_go_on(key: str, run: RunContext) -> str:
    if run.experiment.module.training_options.ends(_progress(run)):
        return " The run has its length."
    kind, _, name = key.partition(".")
    others = [other for other in configuration.named(kind, run.config.get(kind) or {}) if other != name]
    rest = f"'[{','.join(others)}]'" if others else "none"
    folder = files.typed(run.folder)
    return f" Continue with `ganlab resume {folder}`, or without it: `ganlab resume {folder} {kind}={rest}`."
