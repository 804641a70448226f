"""The quantities of the guard, measured before `recording` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
from torch import Tensor

from ganlab.contracts.callback import RunContext
from ganlab.engine.module import GameModule
from ganlab.runs import watched
from ganlab.runs.guard.bounds import is_free
from ganlab.runs.guard.gauges import Gauges


class Gauging(L.Callback):
    """Measures the quantities of the guard every ``every_steps`` iterations, on all ranks, and leaves the numbers on
    the device for `recording`, which reads them with its own.

    Args:
        every_steps: Interval in iterations.
        samples: Images from fixed latents.
    """

    order = 6
    cost = "each guard.every_steps iterations, guard.samples images and norms of weights and steps; below 1 %"

    def __init__(self, run: RunContext, *, every_steps: int, samples: int, **of_guard: Any) -> None:
        self.run, self.every_steps = run, every_steps
        module = run.experiment.module
        self.gauges = Gauges(watched.subject(run.experiment), samples, lambda: module.stage)
        run.intervals.append(every_steps)

    @staticmethod
    def is_wanted(options: Mapping[str, Any]) -> bool:
        """Tell if a run with these options is guarded."""
        return bool(options["action"] != "off")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, GameModule)
        of_players = pl_module.player_optimizers.by_player
        self.gauges.is_free = is_free(pl_module.game, pl_module.regularizers.values(), of_players)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GameModule)
        observers = pl_module.player_optimizers.observers
        observers[:] = [each for each in observers if each not in (self.gauges.observe, self.gauges.keep)]
        iteration = pl_module.progress.iteration + 1
        if iteration % self.every_steps == 0:
            observers.append(self.gauges.observe)
            self.gauges.see(batch)
        elif self._is_before(iteration):
            observers.append(self.gauges.keep)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GameModule)
        if pl_module.progress.iteration % self.every_steps == 0:
            moments = {p: _tensors(o.state) for p, o in pl_module.player_optimizers.by_player.items()}
            self.run.measured.update(self.gauges.measure(moments))
        if not self._is_before(pl_module.progress.iteration):
            self.gauges.moved.clear()

    def _is_before(self, iteration: int) -> bool:
        """Tell if the next iteration is measured: its steps are compared with those of this one."""
        return (iteration + 1) % self.every_steps == 0

    def state_dict(self) -> dict[str, Any]:
        moved = {player: [change.cpu() for change in of] for player, of in self.gauges.moved.items()}
        return {"means": [mean.cpu() for mean in self.gauges.means], "moved": moved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        means = state_dict.get("means")
        if isinstance(means, list) and all(isinstance(mean, Tensor) and mean.ndim == 1 for mean in means):
            self.gauges.means = means
        moved = state_dict.get("moved")
        if isinstance(moved, dict) and all(isinstance(of, list) for of in moved.values()):
            self.gauges.moved = {
                str(player): of for player, of in moved.items() if all(isinstance(change, Tensor) for change in of)
            }


def _tensors(state: Mapping[Any, Any]) -> list[Tensor]:
    return [
        t for of in state.values() for t in of.values() if isinstance(t, Tensor) and t.ndim and t.is_floating_point()
    ]
