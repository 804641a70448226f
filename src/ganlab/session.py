"""One session of training: from a complete configuration to a run folder, new or continued."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from ganlab import checkpoints, experiment, loggers, run_folder, trainer
from ganlab.callbacks.grids import Grids
from ganlab.callbacks.progress import ProgressLine
from ganlab.callbacks.recorder import Recorder
from ganlab.callbacks.saving import Saving
from ganlab.callbacks.stopping import Stopping
from ganlab.checkpoints import AtomicCheckpointIO
from ganlab.data.loader import Loader
from ganlab.errors import GanlabError
from ganlab.module import GANModule

# What must stay as it was for a checkpoint to fit.
FIXED = ("generator", "discriminator", "game")
FIXED_DATA = ("image_size", "image_channels", "num_classes")


@dataclass
class Outcome:
    """How a session ended.

    Args:
        folder: The run.
        grid: The last sample grid, or None.
        images_per_second: Of the session.
        signal: The signal that ended it, or None.
    """

    folder: Path
    grid: Path | None
    images_per_second: float
    signal: int | None

    @property
    def exit_code(self) -> int:
        return 0 if self.signal is None else 128 + self.signal


def start(config: dict[str, Any], folder: Path | None = None) -> Outcome:
    """Train from the beginning.

    Args:
        config: As `ganlab.config.read` gives it.
        folder: The run folder; by default what ``run.dir`` says.

    Raises:
        GanlabError: For everything that a user can mend.
    """
    main = rank_zero_only.rank in (None, 0)
    folder = folder or (run_folder.new(config["run"]["dir"]) if main else Path(config["run"]["dir"] or "runs"))
    built = experiment.build(config)
    built.config["run"] = {**built.config["run"], "dir": str(folder)}
    return _fit(built, folder, None)


def resume(folder: Path, overrides: Mapping[str, Any] | None = None) -> Outcome:
    """Continue a run from its newest whole checkpoint.

    Args:
        overrides: Changed values by dotted key, such as ``{"trainer.max_steps": 3000}``.

    Raises:
        GanlabError: If there is nothing to continue, or a change does not fit the checkpoint.
    """
    before = run_folder.read_config(folder)
    config = changed(before, overrides or {})
    path, checkpoint, messages = checkpoints.newest(folder / run_folder.CHECKPOINTS)
    if rank_zero_only.rank in (None, 0):
        for message in messages:
            print(f"{message} The one before it, {path.name}, is used.", flush=True)
    refuse_other_networks(before, config)
    built = experiment.build(config)
    refuse_misfit(built.module, checkpoint, path)
    steps = config["trainer"].get("max_steps", -1)
    done = checkpoint["ganlab"]["progress"]["iteration"]
    if 0 <= steps <= done:
        raise GanlabError(
            f"The run has done {done} of trainer.max_steps={steps} iterations: to go on, give more, "
            f"as in `ganlab resume {folder} trainer.max_steps={2 * done}`."
        )
    built.config["run"] = {**built.config["run"], "dir": str(folder)}
    return _fit(built, folder, path, done)


def changed(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with some values changed.

    Raises:
        GanlabError: If a key does not exist.
    """
    import copy

    from ganlab.config import OPEN_NODES
    from ganlab.errors import suggestion

    new = copy.deepcopy(dict(config))
    for key, value in overrides.items():
        *parents, last = key.split(".")
        node: Any = new
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        open_node = bool(parents) and parents[0] in OPEN_NODES
        if not isinstance(node, dict) or (last not in node and not open_node):
            known = list(node) if isinstance(node, dict) else list(new)
            raise GanlabError(f"The run has no option {key!r}.{suggestion(last, known)}")
        if isinstance(node.get(last), dict) and not isinstance(value, dict) and "from" not in node[last]:
            raise GanlabError(f"{key}={value}: a component cannot be exchanged in a run that has begun; start a new run.")
        node[last] = value
    return new


def refuse_other_networks(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Options that change the networks make the checkpoint useless.

    Raises:
        GanlabError: If one was changed.
    """
    for kind in FIXED:
        for name, value in before[kind].items():
            if after[kind].get(name) != value:
                raise GanlabError(
                    f"{kind}.{name} cannot change from {value} to {after[kind].get(name)}: the weights in the checkpoint "
                    f"belong to networks built with {kind}.{name}={value}. Start a new run."
                )
    for name in FIXED_DATA:
        if before["data"][name] != after["data"][name]:
            raise GanlabError(
                f"data.{name} cannot change from {before['data'][name]} to {after['data'][name]}: the networks in the "
                f"checkpoint were built for it. Start a new run."
            )


def refuse_misfit(module: GANModule, checkpoint: Mapping[str, Any], path: Path) -> None:
    """A checkpoint of another model is refused by the names that do not fit.

    Raises:
        GanlabError: If tensors are missing, surplus or of another shape.
    """
    ours, theirs = module.state_dict(), checkpoint["state_dict"]
    misfits = [
        *(f"{name} is missing" for name in ours if name not in theirs),
        *(f"{name} is unknown here" for name in theirs if name not in ours),
        *(
            f"{name} is {tuple(theirs[name].shape)} instead of {tuple(ours[name].shape)}"
            for name in ours
            if name in theirs and theirs[name].shape != ours[name].shape
        ),
    ]
    if misfits:
        more = f" and {len(misfits) - 3} more" if len(misfits) > 3 else ""
        raise GanlabError(f"{path} belongs to another model: {'; '.join(misfits[:3])}{more}.")


def _fit(built: experiment.Experiment, folder: Path, checkpoint: Path | None, done: int | None = None) -> Outcome:
    config, module = built.config, built.module
    main = rank_zero_only.rank in (None, 0)
    io = AtomicCheckpointIO()
    recorder = Recorder(folder)
    stopping = Stopping(config["run"]["max_kimg"])
    grids = Grids(folder, seed=config["seed"], **config["sample"])
    whole_last = done if checkpoint is not None and checkpoint.name == checkpoints.LAST else None
    saving = Saving(folder, io, last_step=whole_last, **config["checkpoint"])
    line = ProgressLine(recorder, config["trainer"].get("max_steps", -1), config["run"]["max_kimg"])
    lightning_trainer = trainer.make(
        config["trainer"],
        [stopping, recorder, line, grids, saving],
        loggers.make(config["logger"], folder, config) if main else [],
        io,
    )
    experiment.check_batch(module, lightning_trainer.world_size)
    if main:
        _prepare_folder(folder, config)
    assert built.images is not None
    loader = Loader(
        built.images,
        module.game,
        lambda: module.progress,
        batch_size=config["data"]["batch_size"],
        accumulate=config["accumulate"],
        seed=config["seed"],
        device=lightning_trainer.strategy.root_device if config["data"]["on_device"] else "cpu",
    )
    _fit_with_sentences(lightning_trainer, module, loader, checkpoint)
    if main:
        _say_where(folder, grids.last, recorder, module, stopping.received)
    return Outcome(folder, grids.last, recorder.session_images_per_second, stopping.received)


def _fit_with_sentences(trainer: L.Trainer, module: GANModule, loader: Loader, checkpoint: Path | None) -> None:
    try:
        trainer.fit(module, train_dataloaders=loader, ckpt_path=str(checkpoint) if checkpoint is not None else None)
    except RuntimeError as error:
        if "out of memory" in str(error).lower():
            raise GanlabError(
                f"The device has too little memory for micro-batches of "
                f"{module.training_options.batch_size // module.training_options.accumulate} images: "
                f"take accumulate={2 * module.training_options.accumulate}."
            ) from error
        raise


def _prepare_folder(folder: Path, config: dict[str, Any]) -> None:
    try:
        (folder / run_folder.CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GanlabError(f"The run folder {folder} cannot be made: {error.strerror or error}.") from error
    run_folder.write_config(folder, config)
    run_folder.write_environment(folder)
    print(f"run: {folder}", flush=True)


def _say_where(folder: Path, grid: Path | None, recorder: Recorder, module: GANModule, received: int | None) -> None:
    if received is not None:
        print(
            f"Stopped by {signal.Signals(received).name} after iteration {module.progress.iteration}. "
            f"Continue with: ganlab resume {folder}"
        )
    if grid is not None:
        print(f"samples: {grid}")
    print(f"run: {folder} ({module.progress.kimg:.1f} kimg, {recorder.session_images_per_second:.0f} images/s)", flush=True)
