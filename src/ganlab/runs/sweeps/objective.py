"""The number that a job of a sweep is judged by: a score on the split that its checkpoints are chosen by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlab.config.configuration import Config
from ganlab.core import registry
from ganlab.core.errors import GanlabError, suggestion
from ganlab.evaluation import protocol, scores


@dataclass(frozen=True)
class Objective:
    """A score.

    Args:
        metric: Its name.
        value: The number.
        loss: The same as a number that is smaller for better ones, see `ganlab.evaluation.scores.loss`.
        kimg: When it was measured.
        real: The real images' own number, where the metric has one.
    """

    metric: str
    value: float
    loss: float
    kimg: float


def during_training(folder: Path, metric: str | None) -> list[Objective]:
    """All scores of a run during training, in the order of kimg; the first metric's if ``metric`` is None.

    Raises:
        GanlabError: If the record of scores is damaged.
    """
    found = (_of(record, metric) for record in scores.read(folder) if record["during_training"])
    return [each for each in found if each is not None]


def best(folder: Path, config: Config, chosen: str | None) -> Objective | None:
    """The objective of a finished run: that of the checkpoint which training kept as the best.

    A run that is not scored during training has the score of its last checkpoint, if it was evaluated on that split.

    Returns:
        None if there is no such score, or it is no number.

    Raises:
        GanlabError: If the record of scores is damaged.
    """
    records = scores.read(folder)
    if config.evaluate.every_kimg is not None:
        of_best = [r for r in records if r["during_training"] and r.get("selected_on")]
    else:
        of_best = [r for r in records if not r["during_training"] and _split(r) == config.evaluate.reference]
    found = [_of(record, chosen) for record in of_best[-1:]]
    return found[0] if found else None


def evaluation(config: Config) -> list[str]:
    """The options of `ganlab evaluate` that score a run as it would be scored during training."""
    options = config.evaluate
    words = [f"metrics={','.join(protocol.metrics_of(config))}", f"reference={options.reference}", "real=false"]
    for key in ("samples", "features", "protocol"):
        value = getattr(options, key)
        words += [f"{key}={value}"] if value is not None else []
    return words


def refuse_unscored(config: Config, chosen: str | None) -> None:
    """Refuse an objective that no metric of the runs can give.

    Raises:
        GanlabError: If none of ``evaluate.metrics`` gives it, or a metric cannot be used.
    """
    names = protocol.metrics_of(config)
    metrics = [registry.load("metric", metric) for metric in names]
    given = [name for metric, each in zip(names, metrics, strict=True) for name in (each.meanings or [metric])]
    if chosen is None or chosen in given:
        return
    if chosen in registry.names("metric"):
        more = ",".join([*names, chosen])
        raise GanlabError(f"sweep.objective={chosen} is not scored: add it, as 'evaluate.metrics=[{more}]'.")
    raise GanlabError(
        f"sweep.objective={chosen} is not scored.{suggestion(chosen, given)} The runs' evaluate.metrics give "
        f"{', '.join(given)}."
    )


def _of(record: Mapping[str, Any], metric: str | None) -> Objective | None:
    found = metric or next(iter(record["values"]), "")
    value = record["values"].get(found)
    if value is None or value["value"] is None or not math.isfinite(value["value"]):
        return None
    loss = scores.loss(value)
    return Objective(found, float(value["value"]), loss, float(record["subject"]["kimg"]))


def _split(record: Mapping[str, Any]) -> Any:
    reference = record["protocol"]["reference"]
    return reference.get("split") if isinstance(reference, Mapping) else reference
