"""The guard: it looks for signs of failure in what was measured, and acts on them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import lightning as L

from ganlab.config.sections import GuardOptions
from ganlab.contracts.callback import RunContext
from ganlab.core import files, json_lines
from ganlab.core.errors import GanlabError, sentence
from ganlab.core.json_lines import is_number
from ganlab.core.run_files import METRICS
from ganlab.engine.module import GameModule
from ganlab.runs.finite import DivergedError
from ganlab.runs.guard import events, signs
from ganlab.runs.guard.events import Event, is_event
from ganlab.runs.guard.history import History
from ganlab.runs.guard.signs import Sign

_CALM = 4  # times guard.patience looks without a sign, after which it is a new one when it comes again


class GuardError(GanlabError):
    """The guard has ended a run."""

    exit_code = 3


class Guard(L.Callback):
    """Looks for signs of failure each ``every_steps`` iterations: prints them (``warn``), ends the run (``stop``), or
    has it go back to before them (``rollback``), at most ``rollbacks`` times. A sign that comes and goes is printed
    once, until it has been absent for several looks.

    It acts after `recording`, which reads the numbers, and before `saving`. What it remembers is in checkpoints, so a
    run that is resumed judges as one that never stopped; all ranks judge alike.

    Args:
        action: What it does when it sees a sign.
        every_steps: Interval in iterations.
        rollbacks: How often a run may go back.
        rates: Factor on all learning rates each time that it does.
        strength: Factor on the terms that regularizers add, likewise.
        samples: Images from fixed latents that are measured.
        limits: Thresholds, see `ganlab.config.sections.GuardOptions`.
    """

    order = 15
    cost = "each guard.every_steps iterations, a look at the last 200 numbers of each quantity"

    def __init__(
        self,
        run: RunContext,
        *,
        action: str,
        every_steps: int,
        rollbacks: int,
        rates: float,
        strength: float,
        samples: int,
        **limits: Any,
    ) -> None:
        self.run, self.action, self.every_steps = run, action, every_steps
        self.rollbacks, self.rates, self.strength = rollbacks, rates, strength
        self.limits = GuardOptions(**limits)
        self.history = History()
        self._since: dict[str, int] = {}  # looks since a sign of this name was last seen or suspected
        self._stage: list[int] | None = None
        self._carried = bool(run.events)
        config = run.experiment.config
        if action == "rollback" and 0 <= config.max_steps <= config.checkpoint.every_steps:
            raise GanlabError(
                f"guard=rollback has nothing to go back to: the first checkpoint comes after "
                f"checkpoint.every_steps={config.checkpoint.every_steps} of trainer.max_steps={config.max_steps} "
                f"iterations, so take fewer, as checkpoint.every_steps={max(1, config.max_steps // 10)}."
            )
        self._begin_attempt()

    @staticmethod
    def is_wanted(options: Mapping[str, Any]) -> bool:
        """Tell if a run with these options is guarded."""
        return bool(options["action"] != "off")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:  # `recording` has dropped those that are not the run's
            for event in self.run.events[len(events.events(self.run.folder)) :]:
                self._write(event)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, GameModule)
        iteration = pl_module.progress.iteration
        if iteration % self.every_steps:
            return
        self._forget_after_growth(pl_module)
        self.history.add(iteration, {name: value for name, value in self.run.scalars.items() if "/" in name})
        self.history.add(iteration, self.run.scored)
        self.run.scored.clear()
        found = signs.found(self.history, self.limits)
        sure = [sign for sign in found if sign.sure]
        self.run.ending.suspected = min((sign.began for sign in found), default=None)
        new = [sign for sign in sure if sign.name not in self._since or self.action != "warn"]
        lasting = {name: looks + 1 for name, looks in self._since.items() if looks < _CALM * self.limits.patience}
        lasting.update((sign.name, 0) for sign in found if sign.sure or sign.name in lasting)
        self._since = lasting
        if new:
            self._act(min(new, key=lambda sign: sign.began), pl_module, trainer.is_global_zero)

    def takes(self, error: DivergedError, trainer: L.Trainer) -> bool:
        """Take the end of a run by numbers that are not finite for a sign.

        Returns:
            Whether the guard acts on it, or else the error ends the run.
        """
        if self.action == "warn":
            return False
        module = self.run.experiment.module
        last = max(
            (point[0] for name in self.history.names(lambda name: True) for point in self.history[name]), default=0
        )
        began = last + 1 if self.run.ending.suspected is None else self.run.ending.suspected
        self._act(Sign("not_finite", error.quantity, began, sentence(error)), module, trainer.is_global_zero)
        return self.run.ending.broken is not None

    def state_dict(self) -> dict[str, Any]:
        return {
            "history": self.history.state_dict(),
            "stage": self._stage,
            "since": dict(self._since),
            "events": [dict(event) for event in self.run.events],
            "suspected": self.run.ending.suspected,
            "scored": dict(self.run.scored),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history.load_state_dict(state_dict.get("history"))
        stage = state_dict.get("stage")
        self._stage = stage if isinstance(stage, list) else None
        since, stored, suspected = (state_dict.get(name) for name in ("since", "events", "suspected"))
        scored = state_dict.get("scored")
        if isinstance(scored, dict):
            self.run.scored.update({str(name): float(value) for name, value in scored.items() if is_number(value)})
        self._since = (
            {str(name): looks for name, looks in since.items() if type(looks) is int} if isinstance(since, dict) else {}
        )
        self.run.ending.suspected = suspected if type(suspected) is int else None
        if not self._carried and isinstance(stored, list) and all(map(is_event, stored)):
            self.run.events[:] = [{f.name: event[f.name] for f in fields(Event)} for event in stored]
        self._begin_attempt()

    @property
    def _path(self) -> Any:
        return self.run.folder / METRICS

    def _begin_attempt(self) -> None:
        module = self.run.experiment.module
        module.attempt = sum(event["action"] == "rollback" for event in self.run.events)
        module.rate_factor = self.rates**module.attempt
        module.setting.strength = self.strength**module.attempt

    def _forget_after_growth(self, module: GameModule) -> None:
        """Begin anew where networks have grown: their numbers are others then."""
        stage = None if module.stage is None else [module.stage.level, module.stage.phase]
        if stage != self._stage:
            self.history.forget()
        self._stage = stage

    def _act(self, sign: Sign, module: GameModule, main: bool) -> None:
        iteration, ending = module.progress.iteration, self.run.ending
        done = sum(event["action"] == "rollback" for event in self.run.events)
        ends = self.action == "rollback" and (done >= self.rollbacks or sign.stays)
        action = "stop" if ends else self.action
        event = Event(
            iteration, module.progress.kimg, len(self.run.events), sign.name, action, sign.began, iteration,
            sign.quantity, sign.sentence,
        )  # fmt: skip
        self.run.events.append(asdict(event))
        if action == "warn":
            if main:
                self._write(self.run.events[-1])
                print(f"guard at iteration {iteration}, {sign.name} since {sign.began}: {sign.sentence}", flush=True)
            return
        ending.broken = min(sign.began, self._again(iteration))
        if action == "rollback":
            ending.back = True
            return
        if main:
            self._write(self.run.events[-1])
        tried = f" after {done} rollbacks" if done else ""
        ending.failure = GuardError(
            f"The guard has ended the run after iteration {iteration}{tried}, {sign.name} since {sign.began}: "
            f"{sign.sentence}"
        )

    def _again(self, iteration: int) -> int:
        """Return where the run went on last, if a sign comes again soon: it was not far enough back, or else this
        iteration."""
        last = next((event for event in reversed(self.run.events[:-1]) if event["action"] == "rollback"), None)
        soon = last is not None and iteration - last["iteration"] <= 2 * (last["noticed"] - last["iteration"])
        return int(last["iteration"]) if last is not None and soon else iteration

    def _write(self, event: Mapping[str, Any]) -> None:
        try:
            json_lines.append(self._path, event)
        except OSError as error:
            print(
                f"{files.typed(self._path)} cannot be written ({error.strerror or error}): training goes on.",
                file=sys.stderr,
            )
