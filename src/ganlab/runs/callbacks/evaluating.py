"""Scores during training, and the checkpoint with the best one."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
from torch import distributed as dist

from ganlab.contracts.callback import RunContext
from ganlab.core import distributed
from ganlab.core.cache import cache_folder
from ganlab.core.errors import GanlabError
from ganlab.evaluation import protocol, scores
from ganlab.evaluation.engine import Evaluator
from ganlab.evaluation.protocol import Protocol
from ganlab.reports import page
from ganlab.reports.numbers import number
from ganlab.runs import checkpoints, finite
from ganlab.runs.checkpoints import BEST
from ganlab.runs.run import Run
from ganlab.runs.run_folder import CHECKPOINTS
from ganlab.runs.scoring import keep


def chosen(name: str | None, data: str, changes: Mapping[str, Any]) -> Protocol:
    """Return the protocol by which a run is scored.

    Args:
        name: Of a preset; None: the data's own.
        data: What the data set is called.
        changes: Changed values of the preset; None: unchanged.

    Raises:
        GanlabError: If an option is wrong.
    """
    found = protocol.preset(name or protocol.own(data))
    found = found.changed({key: value for key, value in changes.items() if value is not None})
    found.make_metrics()
    if found.features:
        found.make_extractor()
    return found


class Evaluating(L.Callback):
    """Scores the averaged generator every ``every_kimg``, on all ranks, and keeps the checkpoint with the best value of
    the first metric as ``checkpoints/best.ckpt``: the lowest, the highest, or the nearest to the real images' value, as
    the metric declares; of equal ones the first.

    It is called before the callback that saves. So a checkpoint contains the result of its evaluation, and a run that
    is killed during an evaluation repeats it when it is resumed.

    Args:
        every_kimg: Interval; a run without one is not scored.
        metrics: What is measured; the checkpoint with the best value of the first one is kept.
        reference: The split to choose by.
        samples: Generated images; None: the protocol's.
        features: The extractor; None: the protocol's.
        protocol: A preset; None: the data's own.
    """

    order = 80
    cost = "each evaluate.every_kimg, evaluate.samples images of the averaged generator and their features"

    def __init__(
        self,
        run: RunContext,
        *,
        every_kimg: float,
        metrics: Sequence[str],
        reference: str,
        samples: int | None,
        features: str | None,
        protocol: str | None,
    ) -> None:
        changes = {"metrics": metrics, "samples": samples, "reference": reference, "features": features}
        self.context = run
        self.run = Run.of(run.folder, run.experiment)
        self.protocol = chosen(protocol, run.experiment.config["data"].name, changes)
        self.every = 1000 * every_kimg
        self._evaluator: Evaluator | None = None
        self._seen = 0

    @staticmethod
    def is_wanted(options: Mapping[str, Any]) -> bool:
        """Tell if a run with these options is scored."""
        return options["every_kimg"] is not None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        progress = self.run.module.progress
        self._seen = progress.images_seen
        if trainer.is_global_zero:
            scores.forget_after(self.run.folder, progress.iteration)
        # missing weights and impossible scores stop a run before it begins
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
        best, loss = False, math.nan
        try:
            result = self.run.score(self._evaluator, self.protocol.truncation)
            if trainer.is_global_zero:
                best, loss = self._keep(trainer, result)
                page.write(self.run.folder)
        except GanlabError as error:  # the run is worth more than a score
            if trainer.is_global_zero:
                print(f"The evaluation at {self.run.module.progress.kimg:g} kimg failed: {error}", file=sys.stderr)
        if distributed.world_size() > 1:
            found = torch.tensor([float(best), loss], device=self.run.module.device)
            dist.broadcast(found, src=0)
            best, loss = bool(found[0]), float(found[1])
        if math.isfinite(loss):
            self.context.scored[f"evaluation/{next(iter(self.protocol.metrics))}"] = loss
        if best:
            finite.refuse_infinite(self.run.module)
            trainer.save_checkpoint(self.run.folder / CHECKPOINTS / BEST)
            failure = checkpoints.failure(trainer)
            if failure is not None and trainer.is_global_zero:
                print(f"{BEST} cannot be written ({failure.strerror or failure}): training goes on.", file=sys.stderr)

    def _keep(self, trainer: L.Trainer, result: Any) -> tuple[bool, float]:
        """Write the record and print the first number; return whether it is the best so far, and its loss."""
        folder = self.run.folder
        before = [r for r in scores.read(folder) if r["during_training"]]
        record = result.record(self.run.described("", self.protocol.truncation), during_training=True)
        name, value = next(iter(record["values"].items()))
        loss = scores.loss(value)
        same = [r for r in before if r["protocol_hash"] == record["protocol_hash"]]
        earlier = [scores.loss(r["values"][name]) for r in same]
        best = loss < math.inf and all(loss < other for other in earlier)
        record["selected_on"] = best
        keep(folder, record, result)
        written = number(value["value"], value["low"], value["high"])
        print(f"{name} {written} at {record['subject']['kimg']:g} kimg{' (best)' if best else ''}", flush=True)
        for logger in trainer.loggers:
            numbers = {f"evaluation/{n}": v["value"] for n, v in record["values"].items() if v["value"] is not None}
            logger.log_metrics(numbers, step=self.run.module.progress.images_seen)
        return best, loss
