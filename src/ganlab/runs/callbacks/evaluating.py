"""Scores during training, and the checkpoint with the best one."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import distributed as dist

from ganlab.assembly.experiment import Experiment
from ganlab.core import distributed
from ganlab.core.cache import cache_folder
from ganlab.core.errors import GanlabError
from ganlab.evaluation import protocol, scores
from ganlab.evaluation.engine import Evaluator
from ganlab.evaluation.protocol import Protocol
from ganlab.reports import page
from ganlab.reports.numbers import number
from ganlab.runs import finite
from ganlab.runs.checkpoints import BEST
from ganlab.runs.run import Run
from ganlab.runs.run_folder import CHECKPOINTS
from ganlab.runs.scoring import keep


def chosen(config: Mapping[str, Any]) -> Protocol:
    """The protocol of the section ``evaluate`` of a run's configuration.

    Raises:
        GanlabError: If an option is wrong.
    """
    node = config["evaluate"]
    data = str(config["data"]["component"])
    name = node["protocol"] or (data if data in protocol.names() else "fast")
    values = {key: node[key] for key in ("metrics", "samples", "reference", "features") if node[key] is not None}
    found = protocol.preset(name).changed(values)
    found.make_metrics()
    found.make_extractor()
    return found


class Evaluating(L.Callback):
    """Scores the averaged generator every so many thousand real images, on all ranks, and keeps the checkpoint with
    the best value of the first metric as ``checkpoints/best.ckpt``: the lowest, the highest, or the nearest to the
    real images' own, as the metric has it; of equal ones the first.

    Comes before the callback that saves: a checkpoint of an iteration holds what its evaluation left behind, and a run
    that is killed in the middle of an evaluation makes it again when it is resumed.

    Args:
        folder: The run.
        built: The run's objects.
        every_kimg: Interval.
    """

    def __init__(self, folder: Path, built: Experiment, every_kimg: float) -> None:
        self.run = Run.of(folder, built)
        self.protocol = chosen(built.config)
        self.every = 1000 * every_kimg
        self._evaluator: Evaluator | None = None
        self._seen = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        progress = self.run.module.progress
        self._seen = progress.images_seen
        if trainer.is_global_zero:
            scores.forget_after(self.run.folder, progress.iteration)
        # now, so that weights and scores that cannot be had stop a run before it began
        self._evaluator = Evaluator(self.protocol, self.run.data, device=pl_module.device, cache=cache_folder())
        self.run.refuse(self._evaluator)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        before, self._seen = self._seen, self.run.module.progress.images_seen
        if self._seen // self.every > before // self.every:
            self._evaluate(trainer)

    def _evaluate(self, trainer: L.Trainer) -> None:
        assert self._evaluator is not None
        best = False
        try:
            result = self.run.evaluate(self._evaluator, self.protocol.truncation)
            if trainer.is_global_zero:
                best = self._keep(trainer, result)
                page.write(self.run.folder)
        except GanlabError as error:  # the run is worth more than a score
            if trainer.is_global_zero:
                print(f"The evaluation at {self.run.module.progress.kimg:g} kimg failed: {error}", file=sys.stderr)
        if distributed.world_size() > 1:
            flag = torch.tensor(float(best), device=self.run.module.device)
            dist.broadcast(flag, src=0)
            best = bool(flag)
        if best:
            finite.refuse_infinite(self.run.module)
            trainer.save_checkpoint(self.run.folder / CHECKPOINTS / BEST)
            failure = getattr(trainer.strategy.checkpoint_io, "failure", None)
            if failure is not None and trainer.is_global_zero:
                print(f"{BEST} cannot be written ({failure.strerror or failure}): training goes on.", file=sys.stderr)

    def _keep(self, trainer: L.Trainer, result: Any) -> bool:
        """Write the record, say the first number, and whether it is the best so far."""
        folder = self.run.folder
        before = [r for r in scores.read(folder) if r["during_training"]]
        record = result.record(self.run.described("", self.protocol.truncation), during_training=True)
        name, value = next(iter(record["values"].items()))
        loss = _loss(value)
        same = [r for r in before if r["protocol_hash"] == record["protocol_hash"]]
        earlier = [_loss(r["values"][name]) for r in same]
        best = loss < math.inf and all(loss < other for other in earlier)
        record["selected_on"] = best
        keep(folder, record, result)
        written = number(value["value"], value["low"], value["high"])
        print(f"{name} {written} at {record['subject']['kimg']:g} kimg{' (best)' if best else ''}", flush=True)
        for logger in trainer.loggers:
            numbers = {f"evaluation/{n}": v["value"] for n, v in record["values"].items() if v["value"] is not None}
            logger.log_metrics(numbers, step=self.run.module.progress.images_seen)
        return best


def _loss(value: Mapping[str, Any]) -> float:
    """What the best value has least of; infinite where there is no better or worse, or no number."""
    number, real = value["value"], value["real"]
    if number is None or not math.isfinite(number):
        return math.inf
    found = {"lower": number, "higher": -number, "real": math.inf if real is None else abs(number - real)}
    return float(found.get(value["better"], math.inf))
