"""The progress line."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any

import lightning as L

from ganlab.contracts.callback import RunContext
from ganlab.core import sizes
from ganlab.data.progress import clock
from ganlab.engine.module import GameModule


class ProgressLine(L.Callback):
    """Iteration, kimg, images/s, time left, stage of growth and each player's loss: one line that is rewritten on a
    terminal, plain lines (one a log interval, at most one every ten seconds) elsewhere.

    """

    order = 20
    cost = "none that is felt: at most two lines a second on a terminal, one in ten seconds elsewhere"

    def __init__(self, run: RunContext) -> None:
        self.run = run
        self.terminal = sys.stdout.isatty()
        self.interval = 0.5 if self.terminal else 10.0
        self._printed = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, GameModule)
        self._started = time.perf_counter(), pl_module.progress.iteration, pl_module.progress.images_seen
        self._printed = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if trainer.is_global_zero and now - self._printed >= self.interval:
            self._printed = now
            self._print(pl_module, now)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            self._print(pl_module, time.perf_counter())
            if self.terminal:
                print(flush=True)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        if trainer.is_global_zero and self.terminal:
            print(flush=True)

    def _print(self, module: L.LightningModule, now: float) -> None:
        assert isinstance(module, GameModule)
        progress, (started, iteration, images) = module.progress, self._started
        max_steps = module.training_options.max_steps
        seconds = max(now - started, 1e-9)
        speed = (progress.images_seen - images) / seconds
        words = [f"iteration {progress.iteration}" + (f"/{max_steps}" if max_steps > 0 else "")]
        words += [f"{progress.kimg:.1f} kimg", f"{speed:.0f} images/s"]
        left = self._seconds_left(module, (progress.iteration - iteration) / seconds, speed)
        words += [f"{clock(left)} left"] if left is not None else []
        if module.stage is not None:
            stage = module.stage
            words += [f"stage {stage.level} alpha {stage.alpha:.2f} {sizes.words(stage.image_size)}"]
        losses = self._losses(module)
        words += [losses] if losses else []
        line = " · ".join(words)
        if self.terminal:
            width = shutil.get_terminal_size().columns
            room = width - 1 - len(" ^C")  # which a terminal writes behind it, and into the next line if there is none
            print(f"\r{line[:room]} \033[K", end="", flush=True)
        else:
            print(line, flush=True)

    def _seconds_left(self, module: GameModule, iterations_per_second: float, images_per_second: float) -> float | None:
        left, length = [], module.training_options
        if length.max_steps > 0 and iterations_per_second > 0:
            left.append((length.max_steps - module.progress.iteration) / iterations_per_second)
        if length.max_kimg is not None and images_per_second > 0:
            left.append((1000 * length.max_kimg - module.progress.images_seen) / images_per_second)
        return max(min(left), 0.0) if left else None

    def _losses(self, module: GameModule) -> str:
        totals: dict[str, float] = {}
        for name, value in self.run.scalars.items():
            if name in module.objective_names:
                player = name.partition("/")[0]
                totals[player] = totals.get(player, 0.0) + value
        return " ".join(f"{player} {value:.3f}" for player, value in totals.items())
