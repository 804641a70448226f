"""Scalars: to metrics.jsonl and to the run's loggers."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import lightning as L
import torch

from ganlab.contracts.callback import RunContext
from ganlab.core import distributed, files, json_lines, memory
from ganlab.core.run_files import METRICS
from ganlab.engine.module import GameModule
from ganlab.runs.finite import DivergedError, diverged
from ganlab.runs.guard.events import EVENT


class Recorder(L.Callback):
    """Reads the module's scalars every ``log_every_n_steps`` iterations and in the last one, and what instruments
    measured each ``watch.every_steps``, which is the only time that the host waits for the device, and writes them on
    the kimg axis.

    A signal or a time limit may end the run between two lines of the interval. The line of that iteration is dropped
    when the run is resumed: the lines are those of a run that never stopped.

    It is called before all callbacks that read the scalars, see `ganlab.contracts.callback.RunContext`.

    Attributes:
        images_per_second: Over the last interval.
    """

    order = 10
    cost = "one wait for the device each trainer.log_every_n_steps iterations, and a line on the disk"

    def __init__(self, run: RunContext) -> None:
        self.run, self.path = run, run.folder / METRICS
        self.images_per_second = 0.0
        self._complained: set[object] = set()

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        assert isinstance(pl_module, GameModule)
        for logger in trainer.loggers:  # Lightning saves them before training starts
            logger.log_hyperparams(pl_module.config)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, GameModule)
        self._started = self._before = (time.perf_counter(), pl_module.progress.images_seen)
        self._recorded = pl_module.progress.iteration
        if trainer.is_global_zero:
            self._forget_after(trainer, self._recorded)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GameModule)
        progress = pl_module.progress
        # write the last line before the last checkpoint: a complete run is not resumed
        if self._is_due(progress.iteration, trainer) or pl_module.training_options.ends(progress):
            self._record(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, GameModule)
        if pl_module.progress.iteration > self._recorded:
            self._record(trainer, pl_module)
        now, (then, before) = time.perf_counter(), self._started
        self.run.ending.images_per_second = (pl_module.progress.images_seen - before) / max(now - then, 1e-9)

    def _record(self, trainer: L.Trainer, module: GameModule) -> None:
        self._recorded = module.progress.iteration
        scalars = module.scalars
        values = distributed.mean(torch.stack(list(scalars.values())))
        measured = dict(self.run.measured)
        self.run.measured.clear()
        if measured:
            values = torch.cat([values, torch.stack([value.detach().to(values) for value in measured.values()])])
        numbers = values.tolist()  # the host waits for the device here
        latest = dict(zip(scalars, numbers, strict=False))
        self.run.scalars.clear()
        self.run.scalars.update(zip([*scalars, *measured], numbers, strict=True))
        # where callbacks of Lightning's look for what they monitor
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in self.run.scalars.items()})
        self._measure_speed(module.progress.images_seen)
        if trainer.is_global_zero:
            self._write(trainer, module)
        bad = [name for name, value in latest.items() if not math.isfinite(value)]
        if bad:
            raise DivergedError(diverged(bad[0].replace("/", "'s ") + f" is {latest[bad[0]]}", module), bad[0])

    def _measure_speed(self, images_seen: int) -> None:
        now, (then, before) = time.perf_counter(), self._before
        self.images_per_second = (images_seen - before) / max(now - then, 1e-9)
        self._before = now, images_seen

    def _write(self, trainer: L.Trainer, module: GameModule) -> None:
        progress = module.progress
        optimizers = module.player_optimizers.by_player
        rates = {f"{player}/learning_rate": float(o.param_groups[0]["lr"]) for player, o in optimizers.items()}
        mib = memory.peak(module.device.type == "cuda") / 2**20
        scalars = {**self.run.scalars, **rates, "images_per_second": self.images_per_second, "memory_mib": mib}
        position = {"iteration": progress.iteration, "kimg": progress.kimg}
        if module.stage is not None:  # the size is the height of the images
            stage = module.stage
            grown = {"stage": stage.level, "alpha": stage.alpha, "image_size": stage.image_size[0]}
            position, scalars = {**position, **grown}, {**scalars, **grown}
        rounded = {name: float(f"{value:.6g}") for name, value in scalars.items() if name not in position}
        try:
            json_lines.append(self.path, {**position, **rounded})
        except OSError as error:
            self._complain(self.path, error)
        for logger in trainer.loggers:
            # the step of a logger is an integer: it counts images, so 1000 are one kimg
            logger.log_metrics({**scalars, "kimg": progress.kimg}, step=progress.images_seen)

    def _complain(self, what: object, error: OSError) -> None:
        """Print that a file cannot be written, once a session and file: the disk may stay full for hours."""
        if what not in self._complained:
            print(
                f"{what} cannot be written ({error.strerror or error}): training goes on.", file=sys.stderr, flush=True
            )
        self._complained.add(what)

    def _forget_after(self, trainer: L.Trainer, iteration: int) -> None:
        """Drop the lines after the checkpoint that is resumed, the extra line of the last iteration, and events that
        the checkpoint does not know."""
        kept = iteration if self._is_due(iteration, trainer) else iteration - 1
        try:
            files.append(self.path, b"")  # it is there from the beginning
            number = len(self.run.events)
            json_lines.keep(
                self.path, lambda line: line[EVENT] < number if EVENT in line else bool(line["iteration"] <= kept)
            )
        except OSError as error:
            self._complain(self.path, error)

    def _is_due(self, iteration: int, trainer: L.Trainer) -> bool:
        intervals = (trainer.log_every_n_steps, *self.run.intervals)  # type: ignore[attr-defined]
        return any(iteration % interval == 0 for interval in intervals)
