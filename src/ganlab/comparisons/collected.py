"""Run folders -> the facts of each run that a comparison needs."""

from __future__ import annotations

import bisect
import json
import math
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ganlab.comparisons import flat
from ganlab.core import files, json_lines, run_files
from ganlab.core.errors import GanlabError
from ganlab.core.json_lines import is_number
from ganlab.evaluation import scores
from ganlab.reports import grids, logged
from ganlab.reports.logged import Logged
from ganlab.reports.run_page import kimg_of
from ganlab.runs import plain_yaml, run_folder
from ganlab.runs.guard import events
from ganlab.runs.guard.events import Event
from ganlab.runs.sweeps.record import DONE, FAILED, PRUNED, Job, Sweep

SEED = "seed"
UNFINISHED, MISSING, COLLAPSED = "unfinished", "not started", "collapsed"
SCORE = "score/"  # begins the name of a curve of scores during training

BEST_FILE = "best.ckpt"

MEMORY = "memory_mib"  # of metrics.jsonl
COLLAPSES = ("collapse", "score", "not_finite", "explosion")  # signs of the guard after which a run is worth nothing
_DIVERGED = re.compile("has diverged|not finite")  # in the sentence of a run that ended so
Record = dict[str, Any]


@dataclass(frozen=True)
class Curve:
    """A number over training.

    Args:
        kimg: Thousands of real images seen at each point.
        seconds: Of training until then, without those between sessions.
        values: The number; None where it was not finite.
    """

    kimg: list[float]
    seconds: list[float]
    values: list[float | None]


class Grid(NamedTuple):
    """A grid of samples during training; runs of one shape have the same latents in it."""

    iteration: int
    kimg: float
    path: Path


@dataclass(frozen=True)
class Scored:
    """A score of one run, and the checkpoint that has it; ``low`` and ``high`` are of the samples, not of seeds."""

    value: float
    low: float | None
    high: float | None
    iteration: int
    kimg: float


@dataclass
class RunFacts:
    """The facts of a run.

    Args:
        folder: Absolute.
        name: Short, and different from those of the other runs.
        config: Options by dotted key; a component is a name under its kind: ``reg``, ``loss``.
        seed: None if the configuration cannot be read.
        state: `DONE`, `FAILED`, `COLLAPSED` (it ended so), `PRUNED`, `UNFINISHED` or `MISSING`.
        collapsed: The iteration at which it collapsed; None: it did not.
        events: Of its guard, the oldest first.
        error: The sentence of a run that failed; empty: unknown.
        swept: What a sweep gave it, as it was typed, by key.
        iteration: That it has reached.
        last_iteration: Of its last checkpoint; None: not known, or there is none.
        kimg: That it has reached.
        images_per_second: Real images over the seconds of training.
        seconds: Of training.
        memory_mib: The largest that a process of it had; None if that was not recorded.
        curves: Scalars by name, ``discriminator/adversarial``; scores during training as ``score/fid``.
        grids: By iteration.
        command: The command line; empty: unknown.
        environment: As environment.json has it.
        records: Lines of evaluation.jsonl.
        scores: Those that are compared, by (metric, which), see `ganlab.comparisons.answer`.
        warnings: Of the evaluations that are compared.
        objective: Of a study.
    """

    folder: Path
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    state: str = MISSING
    collapsed: int | None = None
    events: list[Event] = field(default_factory=list)
    error: str = ""
    swept: dict[str, str] = field(default_factory=dict)
    iteration: int = 0
    last_iteration: int | None = None
    kimg: float = 0.0
    images_per_second: float | None = None
    seconds: float | None = None
    memory_mib: float | None = None
    curves: dict[str, Curve] = field(default_factory=dict)
    grids: list[Grid] = field(default_factory=list)
    command: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    scores: dict[tuple[str, str], Scored] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    objective: float | None = None

    @property
    def best_iteration(self) -> int | None:
        """The iteration of the best checkpoint by the scores during training; None if the run kept none."""
        best = [r["subject"]["iteration"] for r in self.records if r["during_training"] and r["selected_on"]]
        return best[-1] if best and (self.folder / run_folder.CHECKPOINTS / BEST_FILE).is_file() else None

    def seconds_at(self, kimg: float) -> float | None:
        """Return the seconds of training until ``kimg``; None if they are not known."""
        curve = self.curves.get(logged.SPEED)
        if curve is None:
            return None
        return next((s for k, s in zip(curve.kimg, curve.seconds, strict=True) if k >= kimg), curve.seconds[-1])


def runs(words: Sequence[str | os.PathLike[str]]) -> list[RunFacts]:
    """Return the facts of runs; of a folder that is no run, those of the runs in it.

    Raises:
        GanlabError: If a folder does not exist, holds no run, or holds links, see `run_folder.refuse_links`.
    """
    found: dict[Path, RunFacts] = {}
    for word in words:
        path = Path(os.path.expanduser(word)).absolute()
        for run in [facts(run_folder.existing(path))] if (path / run_folder.CONFIG).is_file() else _of_sweep(path):
            found.setdefault(run.folder, run)
    names = [run.name for run in found.values()]
    for run in found.values():
        if names.count(run.name) > 1:
            run.name = files.typed(run.folder)
    return list(found.values())


def holds_runs(path: Path) -> bool:
    """Tell if a folder is no run itself and has one in it, as that of a sweep."""
    return path.is_dir() and not (path / run_folder.CONFIG).is_file()


def facts(folder: Path, name: str = "") -> RunFacts:
    """Return the facts of a run folder; what is missing or cannot be read is empty."""
    run = RunFacts(folder, name or folder.name)
    with suppress(OSError, ValueError):
        plain = plain_yaml.read(folder / run_folder.CONFIG)
        if isinstance(plain, Mapping):
            run.config = flat.options(plain)
            seed = plain.get("seed")
            run.seed = seed if isinstance(seed, int) else None
    _take_environment(run)
    run.records = [r for r in scores.read(folder) if r["subject"]["kind"] == "run"]
    _take_log(run)
    _take_scores_during_training(run)
    run.state = _state(run)
    _take_events(run)
    return run


def _of_sweep(path: Path) -> list[RunFacts]:
    """Return the runs of a sweep, in the order of its jobs; jobs without a folder are runs that are not there."""
    if not path.is_dir():
        raise GanlabError(f"There is no folder {path}: give a sweep's folder, or run folders.")
    run_folder.refuse_links(path)
    jobs = {job.folder: job for job in Sweep(path, ()).jobs()}
    inside = [entry.name for entry in path.iterdir() if (entry / run_folder.CONFIG).is_file()]
    names = [*jobs, *sorted((name for name in inside if name not in jobs), key=_natural)]
    if not names:
        raise GanlabError(f"{files.typed(path)} holds no run and no sweep: give a sweep's folder, or run folders.")
    found = []
    for name in names:
        folder = path / name
        run = facts(folder, name) if (folder / run_folder.CONFIG).is_file() else RunFacts(folder, name)
        if name in jobs:
            _take_job(run, jobs[name])
        found.append(run)
    return found


def _natural(name: str) -> list[Any]:
    """Sort 2_reg-sn before 10_reg-sn."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]


def _take_job(run: RunFacts, job: Job) -> None:
    run.swept = dict(job.values)
    seed = run.swept.get(SEED, "")
    if run.seed is None and seed.lstrip("-").isdigit():
        run.seed = int(seed)
    by_itself = run.state
    if job.state in (DONE, FAILED, PRUNED):
        run.state = job.state
    run.error, run.objective = job.error or "", job.objective
    if run.state == FAILED and (by_itself == COLLAPSED or _DIVERGED.search(run.error)):
        at = re.search(r" at iteration (\d+)", run.error)
        run.state, run.collapsed = COLLAPSED, run.collapsed or (int(at[1]) if at else run.iteration)


def _take_events(run: RunFacts) -> None:
    """Take the guard's events: a run has collapsed since the first sign of it, and ended so if the guard stopped it."""
    run.events = events.events(run.folder)
    seen = [event for event in run.events if event.sign in COLLAPSES and event.action != "rollback"]
    if seen and run.collapsed is None:
        run.collapsed = seen[0].began
    if seen and seen[-1].action == "stop" and run.state == UNFINISHED and seen[-1].noticed >= run.iteration:
        run.state, run.error = COLLAPSED, seen[-1].sentence


def _take_environment(run: RunFacts) -> None:
    try:
        found = json.loads(files.read(run.folder / run_folder.ENVIRONMENT))
        run.environment = found if isinstance(found, dict) else {}
        words = [str(word) for word in run.environment["command"]]
        run.command = shlex.join([Path(words[0]).name, *words[1:]])
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return


def _take_log(run: RunFacts) -> None:
    log = logged.read(run.folder)
    for name, points in log.scalars.items():
        kimg = [at for at, _ in points]
        run.curves[name] = Curve(kimg, [_seconds(log, at) for at in kimg], [found for _, found in points])
    if log.kimg:
        run.iteration, run.kimg = log.iterations[-1], log.kimg[-1]
        if log.seconds[-1] > 0:
            run.seconds, run.images_per_second = log.seconds[-1], 1000 * run.kimg / log.seconds[-1]
    if MEMORY in run.curves:
        run.memory_mib = max(found for found in run.curves[MEMORY].values if found is not None)
    run.grids = [Grid(iteration, kimg_of(log, iteration), path) for iteration, path in grids.found(run.folder)]


def _seconds(log: Logged, kimg: float) -> float:
    """Return the seconds of training until the line at ``kimg``, or the first one after it."""
    return log.seconds[min(bisect.bisect_left(log.kimg, kimg), len(log.kimg) - 1)] if log.kimg else 0.0


def _take_scores_during_training(run: RunFacts) -> None:
    """Add a curve for each score during training, under the newest protocol of these."""
    during = [record for record in run.records if record["during_training"]]
    during = [record for record in during if record["protocol_hash"] == during[-1]["protocol_hash"]]
    for name in dict.fromkeys(name for record in during for name in record["values"]):
        having = [record for record in during if name in record["values"]]
        kimg = [float(record["subject"]["kimg"]) for record in having]
        values = [record["values"][name]["value"] for record in having]
        seconds = [run.seconds_at(at) or 0.0 for at in kimg]
        run.curves[f"{SCORE}{name}"] = Curve(kimg, seconds, [None if v is None else float(v) for v in values])


def _state(run: RunFacts) -> str:
    if not run.iteration:
        return UNFINISHED if run.grids or run.records else MISSING
    with suppress(OSError):
        last = [line for _, line in json_lines.read(run.folder / run_files.METRICS, 1)]
        if last and isinstance(last[0], dict) and any("/" in name and v is None for name, v in last[0].items()):
            run.collapsed = run.iteration
            return COLLAPSED
    steps, kimg = run.config.get("trainer.max_steps"), run.config.get("run.max_kimg")
    reached = is_number(steps) and 0 < steps <= run.iteration
    reached |= is_number(kimg) and 0 < kimg <= run.kimg + 1e-9
    return DONE if reached else UNFINISHED


def finite(value: Any) -> bool:
    """Tell if a value of a record is a number that can be compared."""
    return is_number(value) and math.isfinite(value)
