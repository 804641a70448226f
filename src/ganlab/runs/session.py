"""One session of training: from a complete configuration to a run folder, new or continued."""

from __future__ import annotations

import copy
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from ganlab.assembly import experiment, run_networks
from ganlab.config import configuration, nearest, schema
from ganlab.config.command_line import OPEN_NODES
from ganlab.config.configuration import Config
from ganlab.config.schema import COMPONENT
from ganlab.contracts import plan
from ganlab.contracts.callback import RunContext
from ganlab.contracts.plan import Progress
from ganlab.core import files, kinds, stop_signals, streams, terminal
from ganlab.core.errors import GanlabError, sentence, suggestion
from ganlab.engine import batch_check, record_check
from ganlab.engine.loader import Loader
from ganlab.engine.module import GameModule
from ganlab.runs import (
    around,
    checkpoint_check,
    checkpoints,
    compiled_code,
    ending,
    fine_tuning,
    inherited,
    naming,
    opening,
    ranks,
    run_folder,
    same_data,
    tf32,
    trainer,
)
from ganlab.runs.callbacks.guard import Guard, GuardError
from ganlab.runs.checkpoint_check import MisfitError
from ganlab.runs.checkpoints import AtomicCheckpointIO
from ganlab.runs.ending import Outcome
from ganlab.runs.finite import DivergedError
from ganlab.runs.guard import rollback

# options of the data that a checkpoint depends on
FIXED_DATA = ("image_size", "image_channels", "num_classes")


def start(config: Config, folder: Path | None = None) -> Outcome:
    """Train from the beginning.

    Args:
        config: As `ganlab.config.compose.read` gives it.
        folder: The run folder; None: ``run.dir``.

    Raises:
        GanlabError: For every error that a user can fix.
    """
    trainer.check(config.trainer)
    around.check(config)
    given = folder or config.run.dir
    if streams.is_first_rank() and folder is None and given is not None:
        run_folder.new(str(given))  # refused before the data is decoded
    messages: list[str] = []
    if config.init is not None:  # refused before the data is decoded
        messages = inherited.compare(*run_networks.completed(config))
    built = experiment.build(config)
    if config.init is not None:
        messages += fine_tuning.start_from(built.module, built.config)
    if not streams.is_first_rank():
        return _fit(built, Path(given or "runs"))
    with run_folder.claimed(given, name=naming.name(built.config)) as claimed:
        return _fit(built, claimed, messages=messages)


def resume(folder: Path, overrides: Mapping[str, Any] | None = None) -> Outcome:
    """Continue a run from its newest whole checkpoint.

    Args:
        overrides: Changed values by dotted key, such as ``{"trainer.max_steps": 3000}``; ``data.changed=accept``
            goes on with other images than the run was trained on.

    Raises:
        GanlabError: If there is nothing to continue, or a change does not fit the checkpoint.
    """
    overrides, accepts = same_data.accepted(overrides or {})
    before = run_folder.read_config(folder)
    exchanged = {kind: value for kind, value in overrides.items() if kind in kinds.at("around")}
    others = {key: value for key, value in overrides.items() if key not in exchanged}
    config = configuration.checked(changed(around.chosen(before.plain(), exchanged), others))
    trainer.check(config.trainer)
    around.check(config)
    refuse_other_networks(before, config)
    with run_folder.claimed(folder, again=True) if streams.is_first_rank() else nullcontext():
        path, checkpoint, messages = checkpoints.newest(folder / run_folder.CHECKPOINTS)
        if streams.is_first_rank():
            for message in messages:
                print(f"{message} The one before it, {path.name}, is used.", file=sys.stderr, flush=True)
        try:
            refuse_finished(folder, config, checkpoint)
        except GanlabError:
            if streams.is_first_rank():  # no later code removes it
                run_folder.clean(folder)
                if path.name == checkpoints.NEXT:
                    checkpoints.settle(path.parent, config.checkpoint.keep)
            raise
        built = experiment.build(config)
        other_data = same_data.refuse_other(built, checkpoint, folder, accepts)
        if other_data is not None and streams.is_first_rank():
            print(other_data, flush=True)
        try:
            return _fit(built, folder, (path, checkpoint))
        except MisfitError as error:
            change = _because_of_a_change(before, config, overrides)
            raise (error if change is None else change) from None


def refuse_finished(folder: Path, config: Config, checkpoint: Mapping[str, Any]) -> None:
    """Refuse to resume a run that has reached its length.

    Raises:
        GanlabError: If nothing is left to do.
    """
    steps, max_kimg = config.max_steps, config.run.max_kimg
    done, images = (checkpoint["ganlab"]["progress"][key] for key in ("iteration", "images_seen"))
    if 0 <= steps <= done:
        reached, more = f"{done} of trainer.max_steps={steps} iterations", f"trainer.max_steps={max(2 * done, 1)}"
    elif max_kimg is not None and images >= 1000 * max_kimg:
        reached, more = f"{images / 1000:g} of run.max_kimg={max_kimg:g} kimg", f"run.max_kimg={2 * max_kimg:g}"
    else:
        return
    raise GanlabError(
        f"The run has done {reached}, so it is finished: to go on, give more, as in "
        f"`ganlab resume {files.typed(folder)} {more}`."
    )


def changed(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with some values changed.

    Raises:
        GanlabError: If a key does not exist.
    """
    new = copy.deepcopy(dict(config))
    for key, value in overrides.items():
        if key == "run.dir":
            raise GanlabError("run.dir cannot change: a run goes on in its own folder, which may be moved or copied.")
        *parents, last = key.split(".")
        node: Any = new
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        open_node = bool(parents) and parents[0] in OPEN_NODES
        if not isinstance(node, dict) or (last not in node and not open_node):
            inside, known = ([".".join(parents)], list(node)) if isinstance(node, dict) else ([], list(new))
            near = nearest.suggestion(key, new) or suggestion(last if inside else key, known)
            where = f" Options of {inside[0]}: {', '.join(known)}." if inside and parents else ""
            raise GanlabError(f"The run has no option {key!r}.{near}{where}")
        part = isinstance(node.get(last), dict) and "from" not in node[last] and parents != ["trainer"]
        if part and not isinstance(value, dict):
            raise GanlabError(
                f"{key}={value}: what {key} names cannot be exchanged in a run that has begun; start a new run."
            )
        if last == COMPONENT and node.get(last) != value:
            raise GanlabError(
                f"{key}={value}: a component cannot be exchanged in a run that has begun; start a new run."
            )
        node[last] = value
    return new


def refuse_other_networks(before: Config, after: Config) -> None:
    """Refuse changed options of the networks, which would not fit the checkpoint.

    Raises:
        GanlabError: If one was changed.
    """
    for kind in (name for name, kind in kinds.KINDS.items() if kind.fixed):
        for name, value in (before[kind].options if kind in before else {}).items():
            now = after[kind].options.get(name) if kind in after else None
            if now != value:
                raise GanlabError(
                    f"{kind}.{name} cannot change from {value} to {now}: the weights in the "
                    f"checkpoint belong to networks built with {kind}.{name}={value}. Start a new run."
                )
    for name in FIXED_DATA:
        then, now = getattr(before.data, name), getattr(after.data, name)
        if then != now:
            raise GanlabError(
                f"data.{name} cannot change from {schema.plain(then)} to {schema.plain(now)}: the networks in the "
                f"checkpoint were built for it. Start a new run."
            )


def _because_of_a_change(before: Config, after: Config, overrides: Mapping[str, Any]) -> GanlabError | None:
    """Return an error about the changed option that the checkpoint does not fit, if there is one."""

    def value(config: Config, key: str) -> Any:
        part, _, name = key.rpartition(".")
        return config[part].options.get(name) if part in config else None

    with_state = (*kinds.at("game"), *kinds.at("hooks"))
    for key in overrides:
        if key.split(".")[0] in with_state and value(before, key) != value(after, key):
            return GanlabError(
                f"{key} cannot change from {value(before, key)} to {value(after, key)}: the weights in the checkpoint "
                f"belong to modules built with {key}={value(before, key)}. Start a new run."
            )
    return None


@streams.tolerant()
def _fit(
    built: experiment.Experiment,
    folder: Path,
    resumed: rollback.Resumed | None = None,
    messages: Sequence[str] = (),
) -> Outcome:
    """Train to the end, and again from before each sign for which the guard goes back."""
    outcome, run = _attempt(built, folder, resumed, messages)
    while run.ending.back and run.ending.signal is None and run.ending.failure is None:
        built, resumed = rollback.start(run)
        outcome, run = _attempt(built, folder, resumed, (), run)
    return outcome


def _attempt(
    built: experiment.Experiment,
    folder: Path,
    resumed: rollback.Resumed | None,
    messages: Sequence[str],
    before: RunContext | None = None,
) -> tuple[Outcome, RunContext]:
    config, module = built.config, built.module
    config = built.config = replace(config, run=replace(config.run, dir=str(folder)))
    main = streams.is_first_rank()
    io = AtomicCheckpointIO()
    checkpoint, stored = resumed or (None, {})
    run = RunContext(
        folder,
        config.plain(),
        class_names=tuple(built.data.images.class_names) if built.data is not None else (),
        progress=Progress(**stored["ganlab"]["progress"]) if checkpoint is not None else Progress(),
        checkpoint=checkpoint,
        experiment=built,
        events=[] if before is None else before.events,
    )
    named = around.check(config)
    callbacks = around.callbacks(run, named["callback"])
    loggers = around.loggers(run, named["logger"], main)
    lightning_trainer = trainer.make(dict(config.trainer), callbacks, loggers, io, folder)
    device = lightning_trainer.strategy.root_device
    batch_check.check(module, lightning_trainer.world_size)
    record_check.check_trainer(module, lightning_trainer)
    if checkpoint is not None:
        keys = {callback.state_key for callback in callbacks}
        io.checked = checkpoint_check.taken(module, stored, checkpoint, lightning_trainer.fit_loop.state_dict(), keys)
        # Lightning makes networks double only after it has loaded their weights, which would round them
        lightning_trainer.precision_plugin.convert_module(module)
    same_data.describe(built)
    if main and before is None:
        said = [*opening.lines(built, lightning_trainer.world_size, run.progress), *messages]
        print(
            terminal.folded("\n".join([*said, *trainer.crowding(lightning_trainer), *tf32.said(config.tf32, device)])),
            flush=True,
        )
        _prepare_folder(folder, config, module.trained_on)
        run_folder.write_class_names(folder, run.class_names)
    if main:
        around.begin(loggers, named["logger"])
        ending.keep_profile(lightning_trainer.profiler, folder)  # type: ignore[attr-defined]
    try:
        with tf32.chosen(config.tf32, device):
            _fit_with_sentences(lightning_trainer, module, experiment.loader(built, device), checkpoint, folder)
    except DivergedError as error:
        if not any(isinstance(each, Guard) and each.takes(error, lightning_trainer) for each in callbacks):
            raise
    rollback.leave_unbroken(run)
    outcome = Outcome(folder, run.ending.grid, run.ending.images_per_second, run.ending.signal)
    if main and not run.ending.back:
        outcome = ending.say(outcome, module, lightning_trainer, run.ending.unsaved)
    if run.ending.failure is not None:
        if run.ending.failure.exit_code == GuardError.exit_code:  # other ranks have its sentence and code alone
            raise GuardError(f"{run.ending.failure} {rollback.said(run)}")
        raise run.ending.failure
    return outcome, run


def _fit_with_sentences(
    trainer: L.Trainer, module: GameModule, loader: Loader, checkpoint: Path | None, folder: Path
) -> None:
    handlers = {number: signal.getsignal(number) for number in stop_signals.handled_signals()}
    if module.training_options.compile:
        compiled_code.keep()
    try:
        trainer.fit(module, train_dataloaders=loader, ckpt_path=str(checkpoint) if checkpoint is not None else None)
    except RuntimeError as error:
        if "out of memory" in str(error).lower():
            options = module.training_options
            batch = plan.plan(module.game, module.progress, options.batch_size).slots[0].batch
            raise GanlabError(
                f"The device has too little memory for micro-batches of {batch // options.accumulate} images: "
                f"take accumulate={2 * options.accumulate}."
            ) from error
        lost = ranks.lost(error, trainer, module, folder)
        if lost is not None:
            raise lost from error
        raise
    except MisconfigurationException as error:
        raise GanlabError(f"trainer: {sentence(error)}") from error
    except SystemExit as error:  # Lightning's form of a KeyboardInterrupt
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
    finally:  # Lightning leaves SIGINT ignored when it was interrupted
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _prepare_folder(folder: Path, config: Config, data: Mapping[str, Any] | None) -> None:
    try:
        (folder / run_folder.CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GanlabError(f"The run folder {folder} cannot be made: {error.strerror or error}.") from error
    run_folder.write_config(folder, config)
    run_folder.write_environment(folder, data)
    print(f"run: {files.typed(folder)}", flush=True)
