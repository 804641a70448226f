"""Lightning's Trainer from the configuration; options that ganlab sets itself are refused."""

from __future__ import annotations

import inspect
import logging
import os
import warnings
from collections.abc import Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint, ProgressBar

from ganlab.config import schema
from ganlab.core import memory
from ganlab.core.errors import GanlabError, sentence, suggestion
from ganlab.runs.checkpoints import AtomicCheckpointIO
from ganlab.runs.strategy import ReplicaStrategy

# Trainer options that ganlab sets itself -> the key to use instead.
OWNED = {
    "accumulate_grad_batches": "accumulate=N",
    "gradient_clip_val": "clip.generator=X and clip.discriminator=X",
    "gradient_clip_algorithm": "clip.generator=X and clip.discriminator=X (norms)",
    "max_epochs": "trainer.max_steps=N or run.max_kimg=X (an epoch has no meaning here)",
    "min_epochs": "trainer.min_steps=N",
    "strategy": "trainer.devices=N (replicas with explicitly averaged gradients)",
    "sync_batchnorm": "sync_batch_norm=true",
    "use_distributed_sampler": "nothing: the order of images is ganlab's own",
    "logger": "logger=NAME or logger=[NAME,...], see `ganlab list logger`",
    "callbacks": "callback=NAME or callback=[NAME,...], see `ganlab list callback`",
    "enable_checkpointing": "checkpoint.every_steps=N",
    "default_root_dir": "run.dir=FOLDER",
    "plugins": "nothing: checkpoints are ganlab's own",
    "enable_progress_bar": "nothing: redirect the output",
    "enable_model_summary": "`ganlab bench`, which counts parameters",
    "reload_dataloaders_every_n_epochs": "nothing: there is one endless loader",
    "val_check_interval": "evaluate.every_kimg=X (scores during training)",
    "check_val_every_n_epoch": "evaluate.every_kimg=X (scores during training)",
}
_CHECKED_HERE = ("accelerator", "devices", "precision", "max_steps", "log_every_n_steps", "num_nodes")
_OF_EPOCHS = ("limit_train_batches", "overfit_batches")  # shares of an epoch, which an endless loader does not have
_WHOLE = int | None
_PLAIN = (bool, int, float, str, type(None))
PROCESSES_A_CORE = 8  # at most; a few too many are slow but useful for a trial, and sixty-four a core are a typo
PRECISIONS = ("32-true", "bf16-mixed", "64-true")


def make(
    options: dict[str, Any],
    callbacks: Sequence[L.Callback],
    loggers: Sequence[Any],
    io: AtomicCheckpointIO,
    folder: Path | None = None,
) -> L.Trainer:
    """A Trainer for manual optimization over an endless loader; on a CPU the process then keeps freed memory.

    Args:
        options: The ``trainer`` node.
        folder: The run folder, for Lightning's own callbacks, or None.

    Raises:
        GanlabError: For options that are unknown, ganlab's own, or that this machine cannot do.
    """
    check(options)
    _quiet()
    given = {"accelerator": "auto", "devices": 1, "num_nodes": 1, "log_every_n_steps": 50, "max_steps": -1, **options}
    accelerator, devices = _hardware(given)
    given.update(accelerator=accelerator, devices=devices)
    if accelerator == "cpu":
        memory.keep_freed()
    sanity_steps = given.pop("num_sanity_val_steps", 0)
    world = _count(devices, accelerator) * given["num_nodes"]
    try:
        return L.Trainer(
            **given,
            max_epochs=-1,
            min_epochs=0,
            strategy=ReplicaStrategy() if world > 1 else "auto",
            plugins=[io],
            callbacks=list(callbacks),
            logger=list(loggers) or False,
            default_root_dir=folder,
            enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=sanity_steps,
        )
    except GanlabError:
        raise
    except Exception as error:  # Lightning's own checks: MisconfigurationException, ValueError, TypeError, ...
        raise GanlabError(f"trainer: {sentence(error)}") from error


def crowding(trainer: L.Trainer) -> list[str]:
    """Say that the processes of a run on a CPU are more than its cores; nothing if they are not."""
    count, cores = trainer.num_devices, _cores()
    if trainer.strategy.root_device.type != "cpu" or count <= cores:
        return []
    return [f"note: {count} processes share {cores} cores: good for a trial, but slower than trainer.devices={cores}."]


def check(options: Any) -> None:
    """Check the ``trainer`` node before anything is built.

    Raises:
        GanlabError: With every problem found.
    """
    if not isinstance(options, dict):
        raise GanlabError(f"trainer must be a mapping of Lightning's Trainer options, got {options!r}.")
    known = [name for name in inspect.signature(L.Trainer).parameters if name not in OWNED]
    problems = []
    for name in options:
        if name in OWNED:
            problems.append(f"trainer.{name} is ganlab's own business: use {OWNED[name]}.")
        elif name not in known:
            problems.append(f"Lightning's Trainer has no option {name!r}.{suggestion(str(name), known)}")
        elif name not in _CHECKED_HERE:
            problems += _problem(name, options[name])
    precision = str(options.get("precision", "32-true"))
    if {"32": "32-true", "64": "64-true", "None": "32-true"}.get(precision, precision) not in PRECISIONS:
        half = "16-bit floats overflow in gradient penalties and need a scaler a player; "
        advice = half if "16" in precision else ""
        problems.append(f"trainer.precision={precision} is not supported: {advice}use {', '.join(PRECISIONS)}.")
    for name in ("max_steps", "log_every_n_steps", "num_nodes"):
        value = options.get(name, 1)
        if name == "max_steps" and value is None:
            continue  # to be completed
        least = -1 if name == "max_steps" else 1
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= schema.LARGEST:
            problems.append(f"trainer.{name} must be a whole number of at least {least}, got {value!r}.")
    if problems:
        raise GanlabError(" ".join(problems))


def _problem(name: str, value: Any) -> list[str]:
    """Return a sentence if an option has a wrong type.

    The types are those of the Trainer's signature, without the objects that no configuration can hold.
    """
    annotation = _WHOLE if name in _OF_EPOCHS else get_type_hints(L.Trainer.__init__)[name]
    members = get_args(annotation) or (annotation,)
    held = [m for m in members if m in _PLAIN or not isinstance(m, type) or get_origin(m) is not None]
    try:
        converted = schema.convert(value, reduce(or_, held))
    except ValueError as error:
        return [f"trainer.{name} {error}."]
    if isinstance(converted, str) and not isinstance(value, str):  # Lightning is given the value as it is
        return [f"trainer.{name} must be a word, got {value!r}."]
    return []


def _hardware(options: dict[str, Any]) -> tuple[str, Any]:
    accelerator, devices = str(options["accelerator"]), options["devices"]
    gpus = torch.cuda.device_count()
    if accelerator == "auto":
        without_gpu = "mps" if torch.backends.mps.is_available() else "cpu"
        accelerator = "gpu" if gpus else without_gpu
        if accelerator == "cpu" and _count(devices, "cpu") > 1:
            raise GanlabError(
                f"trainer.devices={devices}, but this machine has no GPU that torch can use: take trainer.devices=1, "
                f"or run that many processes on the CPU with trainer.accelerator=cpu."
            )
    if accelerator in ("gpu", "cuda"):
        if not gpus:
            raise GanlabError(
                f"trainer.accelerator={accelerator}, but torch sees no GPU: take trainer.accelerator=cpu."
            )
        if _count(devices, accelerator) > gpus:
            raise GanlabError(
                f"trainer.devices={devices}, but this machine has {gpus} GPU(s): take trainer.devices={gpus}."
            )
    most = PROCESSES_A_CORE * _cores()
    if accelerator == "cpu" and _count(devices, "cpu") > most:
        raise GanlabError(
            f"trainer.devices={devices}, but this machine has {_cores()} cores: take trainer.devices={_cores()}, or "
            f"at most {most}, which then share the cores."
        )
    return accelerator, devices


def _cores() -> int:
    return max(os.cpu_count() or 1, 2)  # a run of two processes may be tried on one core


def _count(devices: Any, accelerator: str) -> int:
    """Return the number of processes on this node that ``devices`` means to Lightning."""
    everything = torch.cuda.device_count() if accelerator in ("gpu", "cuda") else 1
    if isinstance(devices, (list, tuple)):
        return len(devices)
    text = str(devices).strip()
    if text in ("auto", "-1"):
        return everything
    if "," in text:
        return len([part for part in text.split(",") if part.strip()])
    if not text.isdigit() or int(text) < 1:
        raise GanlabError(f"trainer.devices must be a number of devices, a list of them or auto, got {devices!r}.")
    return int(text)


def _quiet() -> None:
    """Silence Lightning's hints about workers, GPUs and loggers, which do not apply."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for words in (
        ".*does not have many workers.*",
        ".*is not an `IterableDataset`.*",
        ".*`IterableDataset` has `__len__` defined.*",
        ".*GPU available but not used.*",
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*You're resuming from a checkpoint that ended before the epoch ended.*",
        ".*dataloader is not resumable.*",
        ".*`isinstance.treespec, LeafSpec.` is deprecated.*",
        ".*ModelCheckpoint.*",
        ".*module.s. in eval mode at the start of training.*",
        ".*The number of training batches .* is smaller than the logging interval.*",
    ):
        warnings.filterwarnings("ignore", message=words)
