"""Instruments at their interval, all of them by one callback."""

from __future__ import annotations

from typing import Any

import lightning as L

from ganlab.contracts.callback import RunContext
from ganlab.engine.module import GameModule
from ganlab.runs import part_failures, watched


class Watching(L.Callback):
    """Measures with the instruments of the run every ``every_steps`` iterations, on all ranks, and leaves the numbers
    on the device for `recording`, which reads them with its own; nothing happens in the iterations between.

    It is called before `recording`. A checkpoint has what the next measurement begins with, so a run that is resumed
    logs what one that never stopped would have logged.

    Args:
        every_steps: Interval in iterations.
    """

    order = 5
    cost = "each watch.every_steps iterations, what `ganlab show watch NAME` says of each instrument; without any, none"

    def __init__(self, run: RunContext, *, every_steps: int) -> None:
        self.run, self.every_steps = run, every_steps
        self.subject = watched.subject(run.experiment)
        self.instruments = watched.instruments(run.experiment.config, self.subject)
        if self.instruments:
            run.intervals.append(every_steps)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GameModule)
        ahead = -(pl_module.progress.iteration + 1) % self.every_steps  # iterations from this one to the measurement
        shown = [each.observe for each in self.instruments.values() if ahead < each.iterations]
        pl_module.player_optimizers.observers[:] = shown

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GameModule)
        if pl_module.progress.iteration % self.every_steps:
            return
        for name, instrument in self.instruments.items():
            try:
                found = instrument.measure(self.subject)
            except Exception as error:
                part_failures.note(error, f"watch.{name}", "measure", self.run)
            else:
                self.run.measured.update({f"{name}/{quantity}": value for quantity, value in found.items()})

    def state_dict(self) -> dict[str, Any]:
        return {name: state for name, each in self.instruments.items() if (state := each.state_dict())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, state in state_dict.items():
            if name in self.instruments and isinstance(state, dict):
                self.instruments[name].load_state_dict(state)
