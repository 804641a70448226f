"""Evaluating a run's checkpoints, or a folder of images, and writing the scores into the run folder."""

from __future__ import annotations

import itertools
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ganlab.assembly import experiment
from ganlab.contracts.figures import Grid
from ganlab.core import files
from ganlab.core.cache import cache_folder
from ganlab.core.errors import GanlabError
from ganlab.data.run_images import RunData
from ganlab.evaluation import figures, scores, sources
from ganlab.evaluation.engine import Evaluator
from ganlab.evaluation.protocol import Protocol
from ganlab.evaluation.result import Result
from ganlab.runs import choice, run_folder
from ganlab.runs.checkpoints import BEST
from ganlab.runs.run import Run
from ganlab.sampling import generation, scatter

PICTURES = "evaluation"
_MOST_VALUES = 1_000


def evaluate_run(
    folder: Path,
    protocol: Protocol,
    *,
    which: choice.Which = choice.NEWEST,
    truncations: Sequence[float | None] | None = None,
    statistics: str | None = None,
    device: torch.device | str = "cpu",
    with_real: bool = False,
    say: Callable[[Mapping[str, Any]], None] = lambda record: None,
) -> list[dict[str, Any]]:
    """Score checkpoints of a run, and append each record to its evaluation.jsonl when it is there.

    Args:
        which: See `choice.several`.
        truncations: A record for each; None: the protocol's.
        statistics: An .npz file of FID statistics instead of real images.
        with_real: Score held-out real images like generated ones too.
        say: Called with each record before it is written, so that a record is printed even if the disk is full.

    Raises:
        GanlabError: For everything that a user can fix; records before it stay.
    """
    paths = choice.several(folder, which)
    run = Run.of(folder, experiment.build(run_folder.read_config(folder)))
    run.module.to(device)
    evaluator = Evaluator(protocol, run.data, device=device, cache=cache_folder(), statistics=statistics)
    before = scores.read(folder)
    records = []
    for path in paths:
        run.load(path)
        for truncation in truncations or [protocol.truncation]:
            result = run.score(evaluator, truncation)
            record = result.record(run.described(path.name, truncation))
            record["selected_on"] = _selected_on(record, before)
            say(record)
            records.append(keep(folder, record, result))
    if with_real and any(not metric.needs_run for metric in evaluator.metrics.values()):
        records.append(_real(folder, evaluator, say))
    return records


def evaluate_images(
    path: str,
    protocol: Protocol,
    built: RunData,
    *,
    out: Path,
    statistics: str | None = None,
    device: torch.device | str = "cpu",
    as_labels_allow: bool = False,
    say: Callable[[Mapping[str, Any]], None] = lambda record: None,
) -> list[dict[str, Any]]:
    """Score somebody's images against a data set; the record goes to ``out``/evaluation.jsonl.

    Args:
        as_labels_allow: Leave out metrics of classes if the images have no labels, instead of refusing them.
    """
    shape, said = built.images.pixels.shape, list[str]()
    if built.images.are_points:
        source, fingerprint = sources.of_points(path, shape[1], protocol.samples, protocol.seed)
    else:
        source, fingerprint, said = sources.of_path(
            path, (shape[2], shape[3]), shape[1], built.images.num_classes, protocol.samples, protocol.seed,
            built.images.class_names,
        )  # fmt: skip
    if as_labels_allow and not source.num_classes:
        protocol = protocol.without_labels()
    for name, metric in protocol.make_metrics().items():
        if metric.needs_run:
            raise GanlabError(
                f"{name} needs the networks of a run, and images={path} are only images: leave {name} out."
            )
    evaluator = Evaluator(protocol, built, device=device, cache=cache_folder(), statistics=statistics)
    result = evaluator.score(source)
    if protocol.samples > source.count:
        said = [
            *said,
            f"The protocol asks for {protocol.samples:,} samples, and there are {source.count:,}: all of them.",
        ]
    result.warnings = [*said, *result.warnings]
    record = result.record({"kind": "images", "path": path, "hash": fingerprint})
    say(record)
    return [keep(out, record, result)]


def _real(folder: Path, evaluator: Evaluator, say: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Score held-out real images like generated ones; against the training images if they are the reference."""
    protocol = evaluator.protocol
    other = next((s for s in ("validation", "test") if s != protocol.reference and len(evaluator.real.splits[s])), None)
    if other is None:
        raise GanlabError("real=true scores held-out images, and the data has none: train with data.held_out=0.1.")
    rows = sources.shuffled(evaluator.real.splits[other], protocol.seed)[: protocol.samples or None]
    result = evaluator.score(sources.of_images(evaluator.real.images, rows))
    record = result.record({"kind": "real", "split": other})
    say(record)
    return keep(folder, record, result)


def keep(folder: Path, record: dict[str, Any], result: Result) -> dict[str, Any]:
    """Write the figures and append the line. Evaluations during training share one folder, with the newest pictures.

    Raises:
        GanlabError: If they cannot be written.
    """
    samples = _shown(result)
    where = _pictures_folder(folder, record)
    try:
        record["pictures"]["samples"] = _written(samples, where / "samples.png", folder)
        for name, score in result.scores.items():
            record["figures"][name] = [
                figures.plain(f, _written(f, where / f"{name}_{number}.png", folder) if isinstance(f, Grid) else "")
                for number, f in enumerate(score.figures)
            ]
        scores.append(folder, record)
    except GanlabError:
        if not record["during_training"]:
            shutil.rmtree(where, ignore_errors=True)  # its line was not written
        raise
    return record


def _shown(result: Result) -> Grid:
    """Return the samples that the page shows; of points a plot."""
    if result.reals is not None:
        return Grid("samples", scatter.picture(result.samples, result.reals)[None], 1)
    shown = min(100, len(result.samples))
    columns = min(10, max(1, shown))
    return Grid("samples", result.samples[: shown // columns * columns], columns)  # whole rows, without white places


def _written(grid: Grid, path: Path, folder: Path) -> str:
    """Write a grid as a PNG; return its path relative to the folder."""
    try:
        generation.write_png(generation.grid(grid.images.float() / 127.5 - 1, grid.columns), path)
    except OSError as error:
        raise files.unwritable(path, error) from error
    return str(path.relative_to(folder))


def _pictures_folder(folder: Path, record: Mapping[str, Any]) -> Path:
    """Return a new folder, also if two processes evaluate one run at a time; one shared folder for training."""
    if record["during_training"]:
        return folder / PICTURES / "training"
    for number in itertools.count():
        path = folder / PICTURES / f"{record['time'].replace(':', '-')}_{record['protocol_hash']}_{number}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise files.unwritable(path, error) from error
        return path
    raise AssertionError


def _selected_on(record: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> bool:
    """Tell if the checkpoint, by any name, was chosen as the best during training by scores on the same split."""

    def split(record: Mapping[str, Any]) -> tuple[Any, Any]:
        reference = record["protocol"]["reference"]
        return reference.get("split"), reference.get("data")

    during = [r for r in before if r.get("during_training")]
    best = [r["subject"]["iteration"] for r in during if r.get("selected_on")][-1:]  # each took the place of another
    chosen = record["subject"]["checkpoint"] == BEST or record["subject"]["iteration"] in best
    return chosen and any(split(r) == split(record) for r in during)


def sweep_values(text: str) -> list[float]:
    """``0.3:1.0:0.1`` (both ends included) or ``0.3,0.5,1`` as numbers.

    Raises:
        GanlabError: If it is neither.
    """
    try:
        if ":" in text:
            low, high, step = (float(part) for part in text.split(":"))
            if not 0 < low <= high < math.inf or not step > 0:
                raise ValueError
            count = int(min((high - low) / step + 1e-9, _MOST_VALUES)) + 1
            values = [low + i * step for i in range(count)]
        else:
            values = [float(part) for part in text.strip("[]").split(",")]
        if not values or not all(0 < v < math.inf for v in values):
            raise ValueError
    except ValueError as error:
        raise GanlabError(f"values={text} must be LOW:HIGH:STEP or numbers such as 0.3,0.5,1, all positive.") from error
    if len(values) > _MOST_VALUES:
        raise GanlabError(
            f"values={text} are more than {_MOST_VALUES:,} thresholds, with a score for each: take fewer."
        )
    return [round(v, 10) for v in values]


def same_protocol(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The newest record of each run, if they are of one protocol.

    Raises:
        GanlabError: With the first difference between their protocols.
    """
    found = []
    for folder in folders:
        records = [r for r in scores.read(folder) if r["subject"]["kind"] == "run" and not r["during_training"]]
        if not records:
            raise GanlabError(f"{files.typed(folder)} has no scores yet: ganlab evaluate {files.typed(folder)}")
        found.append(records[-1])
    scores.refuse_different(found, names=[str(folder) for folder in folders])
    return found
