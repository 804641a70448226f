"""The answer of a comparison: a row for each configuration, the differences that are real, and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from ganlab.comparisons.collected import RunFacts
from ganlab.reports.numbers import number
from ganlab.statistics.paired import MOST_SEEDS

BEST, LAST = "best", "last"

Column = tuple[str, str]  # a metric, and which checkpoint: best, last, or at such a kimg


@dataclass(frozen=True)
class MetricInfo:
    """A number that is compared.

    Args:
        name: ``fid``; with several data sets ``fid on digits``.
        better: ``lower``, ``higher``, or ``real``: the nearer to the real images' own number.
        meaning: A sentence.
        real: The number of the real images, if it is known.
    """

    name: str
    better: str
    meaning: str = ""
    real: float | None = None


@dataclass(frozen=True)
class Estimate:
    """A score of a configuration: the mean over its seeds.

    Args:
        mean: Over seeds.
        low: Lower end of its interval of 95 %; None with one seed.
        high: Upper end.
        n: Runs that have the score.
        iqm: Interquartile mean; None with fewer than four runs.
        iqm_low: Lower end of its interval.
        iqm_high: Upper end.
        deviation: Standard deviation over seeds; None with one.
        per_seed: The score by repetition: ``seed 0``.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    iqm: float | None = None
    iqm_low: float | None = None
    iqm_high: float | None = None
    deviation: float | None = None
    per_seed: dict[str, float] = field(default_factory=dict)


@dataclass
class Row:
    """A configuration.

    Args:
        name: ``reg=sn``.
        values: By key.
        seeds: Of the runs that are compared.
        runs: All of its runs, those that failed or collapsed too.
        scores: By column.
        images_per_second: Mean over the runs.
        seconds: Of training to the compared checkpoint of the first column; mean over the runs.
        memory_mib: The largest of the runs; None if that was not recorded.
        failures: A sentence for each run that failed.
        collapses: Which runs collapsed, when, and what is compared of them; empty: none did.
        alarms: Warnings of their evaluations that other rows do not have, and what their guards saw.
    """

    name: str
    values: dict[str, str]
    seeds: list[int]
    runs: list[RunFacts]
    scores: dict[Column, Estimate] = field(default_factory=dict)
    images_per_second: float | None = None
    seconds: float | None = None
    memory_mib: float | None = None
    failures: list[str] = field(default_factory=list)
    collapses: str = ""
    alarms: list[str] = field(default_factory=list)

    @property
    def remarks(self) -> list[str]:
        """Remarks on its runs: collapses, failures, alarms."""
        return [*filter(None, [self.collapses]), *self.failures, *self.alarms]


@dataclass(frozen=True)
class Difference:
    """Two configurations on one column; ``first`` is the better one by its mean.

    Args:
        metric: Its name.
        which: Best, last, or at such a kimg.
        first: Name of a row.
        second: Name of another one.
        mean: second - first, over common seeds.
        low: Lower end of its interval of 95 %; None with one common seed.
        high: Upper end.
        p: Of the paired t test; None with one common seed.
        p_holm: After Holm's correction over all pairs of rows on this column.
        seeds: Common seeds.
        needed: Common seeds at which a difference of this size would be found four times in five; None: over 1,000, or
            the deviation is not known.
        verdict: In words.
    """

    metric: str
    which: str
    first: str
    second: str
    mean: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    seeds: int
    needed: int | None
    verdict: str

    @property
    def is_real(self) -> bool:
        """Tell if the test finds a difference at the level of 5 %."""
        return self.p_holm is not None and self.p_holm < 0.05

    @property
    def enough(self) -> str:
        """Common seeds that would tell a difference that the test does not find; a dash for others."""
        if self.is_real or self.p is None or self.mean == 0:
            return "–"
        return f"{self.needed:,}" if self.needed is not None else f"> {MOST_SEEDS:,}"


def size(mean: float, low: float | None, high: float | None) -> str:
    """Return a difference with the digits of its interval; with one digit if it is smaller than these."""
    text = number(mean, low, high)
    return text if text != "0" or mean == 0 else f"{mean:.1g}"


@dataclass(frozen=True)
class Improvement:
    """The probability that a run of ``first`` is better than one of ``second``, over all metrics and data sets."""

    first: str
    second: str
    which: str
    probability: float
    low: float
    high: float


@dataclass
class Trial:
    """A run of a study.

    Args:
        name: ``trial 3``.
        values: That were chosen, by key.
        objective: None: it has none.
        state: As in `RunFacts`.
        loss: A number that is smaller for a better objective.
    """

    name: str
    values: dict[str, str]
    objective: float | None
    state: str
    loss: float = math.inf

    @property
    def options(self) -> str:
        """The values as they are typed: ``reg=sn, loss=hinge``."""
        return ", ".join(f"{key}={value}" for key, value in self.values.items())


@dataclass
class Study:
    """A search for the best options.

    Args:
        objective: What was searched for.
        better: ``lower``, ``higher`` or ``real``.
        keys: That were searched.
        trials: In their order.
        best: The best objective so far, after each trial.
        importance: The share of each key in the objective's variance; empty if it cannot be computed.
        note: Why there is no importance, or how it was computed.
        logarithmic: Keys whose axes are logarithmic: they were searched so, or span two decades.
    """

    objective: str
    better: str
    keys: list[str]
    trials: list[Trial]
    best: list[float | None]
    importance: dict[str, float]
    note: str = ""
    logarithmic: list[str] = field(default_factory=list)


@dataclass
class Answer:
    """The outcome of a comparison.

    Args:
        title: What was compared, in a line.
        headline: Sentences; the first is the answer.
        protocol: How scores were taken, in words.
        metrics: The numbers that are compared; the first one orders the rows.
        whiches: Of which checkpoints: best and last, or at such a kimg.
        by: Keys that varied.
        common: Options that all runs share.
        rows: The best one first.
        differences: Of all pairs of rows on each column.
        improvements: Of the first row over each other one, where there are several metrics or data sets.
        notes: What was left out, and what else varied.
        further_notes: Warnings of the evaluations of other numbers than the first.
        study: None if it was no search.
    """

    title: str
    headline: list[str]
    protocol: str
    metrics: list[MetricInfo]
    whiches: list[str]
    by: list[str]
    common: dict[str, str]
    rows: list[Row]
    differences: list[Difference] = field(default_factory=list)
    improvements: list[Improvement] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    further_notes: list[str] = field(default_factory=list)
    study: Study | None = None

    def plain(self) -> dict[str, Any]:
        """Return the answer as JSON: columns are called ``fid best``; runs have no lines of their evaluations."""
        found: dict[str, Any] = _plain(self)
        return found

    def between(self, first: str, second: str, metric: str, which: str) -> Difference | None:
        """Return the difference of two rows on a column, in either order."""
        names = {first, second}
        return next(
            (d for d in self.differences if {d.first, d.second} == names and (d.metric, d.which) == (metric, which)),
            None,
        )


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.name != "records"}
    if isinstance(value, dict):
        return {" ".join(key) if isinstance(key, tuple) else str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value
