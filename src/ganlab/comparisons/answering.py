"""From scored runs to an answer: rows, paired differences, and the sentences that say what they mean."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ganlab.comparisons import collapses, headlines
from ganlab.comparisons.answer import Answer, Column, Difference, Estimate, Improvement, MetricInfo, Row, size
from ganlab.comparisons.collected import FAILED, PRUNED, RunFacts
from ganlab.comparisons.scored import ON, Taken
from ganlab.comparisons.varied import SEED, Varied, value
from ganlab.core.errors import few
from ganlab.evaluation import scores
from ganlab.reports.numbers import interval
from ganlab.statistics import improvement, intervals, paired

ALL = "all runs"  # the name of the only row where nothing varied


def answer(
    title: str, runs: Sequence[RunFacts], varied: Varied, taken: Taken, notes: list[str], trials: bool = False
) -> Answer:
    """Compare runs whose scores are taken.

    Args:
        runs: All of them, those that failed too.
        notes: Sentences about what was left out; more are added.
        trials: They are those of a search: rows are called as their first run, and those that it ended early are none.
    """
    rows = _rows([run for run in runs if not (trials and run.state == PRUNED)], varied, taken, notes, trials)
    further: list[str] = []
    for alarm in _shared_alarms(rows):
        (further if _is_of_others(alarm, taken) else notes).append(alarm)
    columns = [(metric.name, which) for metric in taken.metrics for which in taken.whiches]
    rows.sort(key=lambda row: _place(row, taken.metrics[0], taken.whiches[0]))
    losses = {row.name: _losses(row, taken) for row in rows}
    differences = [d for column in columns for d in _differences(rows, column, losses)]
    for key, values in varied.others.items():
        notes.append(f"{key} varied too ({few(values, 6)}): runs are paired over it as over seeds.")
    if varied.following:
        notes.append(
            f"With {' and '.join(varied.by)} these varied too: "
            f"{few([f'{key} ({few(values)})' for key, values in varied.following.items()], 6)}."
        )
    if varied.around:
        notes.append(f"These differ and change nothing of what is trained: {few(list(varied.around), 8)}.")
    found = Answer(
        title, [], " · ".join(taken.protocols), taken.metrics, taken.whiches, varied.by, varied.common, rows,
        differences, _improvements(rows, taken, losses), notes, further,
    )  # fmt: skip
    found.headline = headlines.sentences(found)
    return found


def _rows(runs: Sequence[RunFacts], varied: Varied, taken: Taken, notes: list[str], called_as_runs: bool) -> list[Row]:
    rows: dict[tuple[str, ...], Row] = {}
    for run in runs:
        values = {key: value(run, key) for key in varied.by}
        name = run.name if called_as_runs else ", ".join(f"{key}={found}" for key, found in values.items()) or ALL
        row = rows.setdefault(tuple(values.values()), Row(name, values, [], []))
        row.runs.append(run)
        if run.state == FAILED:
            row.failures.append(f"{run.name}: {run.error or 'it failed.'}")
    for row in rows.values():
        row.collapses = collapses.sentence(row.runs)
        _fill(row, varied, taken, notes)
    return list(rows.values())


def _shared_alarms(rows: Sequence[Row]) -> list[str]:
    """Leave each row the warnings that are its own; return those that all rows share."""
    scored = [row for row in rows if row.scores]
    shared = [alarm for alarm in scored[0].alarms if all(alarm in row.alarms for row in scored)]
    for row in scored:
        row.alarms = [alarm for alarm in row.alarms if alarm not in shared]
    return shared


def _is_of_others(alarm: str, taken: Taken) -> bool:
    """Tell if a warning, ``per_class: ...``, is of other numbers than the first one: of per_class_fid, say."""
    of = alarm.partition(": ")[0]
    first, *others = (metric.name.partition(ON)[0] for metric in taken.metrics)
    return not _is_of(of, first) and any(_is_of(of, name) for name in others)


def _is_of(metric: str, name: str) -> bool:
    return f"_{metric}_" in f"_{name}_"


def _fill(row: Row, varied: Varied, taken: Taken, notes: list[str]) -> None:
    compared: dict[tuple[str, str], RunFacts] = {}
    for run in row.runs:
        if run in taken.compared:
            data = next(iter(run.scores))[0].partition(ON)[2]
            same = compared.setdefault((data, repetition(run, varied)), run)
            if same is not run:
                notes.append(f"{run.name} repeats {same.name}, and is left out.")
    kept = list(compared.values())
    row.seeds = sorted({run.seed for run in kept if run.seed is not None})
    for metric in taken.metrics:
        for which in taken.whiches:
            column = metric.name, which
            found = {of: run.scores[column].value for (_, of), run in compared.items() if column in run.scores}
            if found:
                row.scores[column] = _estimate(found)
    column = taken.metrics[0].name, taken.whiches[0]
    row.images_per_second = _mean([r.images_per_second for r in kept])
    row.seconds = _mean([r.seconds_at(r.scores[column].kimg) for r in kept if column in r.scores])
    row.alarms = list(dict.fromkeys(warning for run in kept for warning in run.warnings)) + collapses.alarms(row.runs)
    row.memory_mib = max((r.memory_mib for r in kept if r.memory_mib is not None), default=None)


def repetition(run: RunFacts, varied: Varied) -> str:
    """Return what tells the runs of a row apart, and pairs those of two rows: the seed, and what else varied."""
    seed = [] if SEED in varied.by else [f"{SEED} {run.seed}"]
    return ", ".join([*seed, *(f"{key}={value(run, key)}" for key in varied.others)])


def _estimate(found: Mapping[str, float]) -> Estimate:
    values = list(found.values())
    mean, middle = intervals.mean(values), intervals.interquartile_mean(values)
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    iqm, low, high = (None, None, None) if middle is None else (middle.value, middle.low, middle.high)
    return Estimate(mean.value, mean.low, mean.high, len(values), iqm, low, high, deviation, dict(found))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [found for found in values if found is not None]
    return sum(known) / len(known) if known else None


def _loss(metric: MetricInfo, found: float) -> float:
    """Return a number that is smaller for a better score."""
    return scores.loss({"value": found, "real": metric.real, "better": metric.better})


def _place(row: Row, metric: MetricInfo, which: str) -> tuple[bool, float]:
    score = row.scores.get((metric.name, which))
    return score is None, 0.0 if score is None else _loss(metric, score.mean)


def _losses(row: Row, taken: Taken) -> dict[Column, dict[str, float]]:
    metrics = {metric.name: metric for metric in taken.metrics}
    return {
        column: {of: _loss(metrics[column[0]], found) for of, found in score.per_seed.items()}
        for column, score in row.scores.items()
    }


def _differences(
    rows: Sequence[Row], column: Column, losses: Mapping[str, Mapping[Column, Mapping[str, float]]]
) -> list[Difference]:
    """Compare all pairs of rows on a column over their common seeds."""
    found = []
    for one, other in itertools.combinations([row for row in rows if column in row.scores], 2):
        mine, theirs = losses[one.name][column], losses[other.name][column]
        common = [of for of in mine if of in theirs]
        if common:
            test = paired.paired([theirs[of] - mine[of] for of in common])
            found.append((one, other, test) if test.mean >= 0 else (other, one, _turned(test)))
    tested = [test.p for _, _, test in found if test.p is not None]
    corrected = iter(paired.holm(tested))
    return [
        _difference(column, one.name, other.name, test, None if test.p is None else next(corrected), len(tested))
        for one, other, test in found
    ]


def _turned(test: paired.Paired) -> paired.Paired:
    low, high = (None, None) if test.low is None or test.high is None else (-test.high, -test.low)
    return paired.Paired(-test.mean, low, high, test.p, test.deviation, test.count)


def _difference(
    column: Column, first: str, second: str, test: paired.Paired, corrected: float | None, tests: int
) -> Difference:
    needed = None
    by = size(test.mean, test.low, test.high)
    if corrected is None or test.deviation is None:
        verdict = f"{first} and {second} have one common seed: there is no test."
    elif corrected < paired.LEVEL:
        ends = interval(test.low, test.high)
        verdict = f"{first} is better than {second} by {by} ({ends}; p = {corrected:.2g}; {test.count} common seeds)."
    elif test.mean == 0:
        verdict = f"{first} and {second} are equal over {test.count} common seeds."
    elif not test.has_spread:
        needed = paired.seeds_without_spread(paired.LEVEL / tests)
        verdict = (
            f"{first} is ahead of {second} by {by} with each of {test.count} seeds, without any spread: {needed} such "
            f"seeds would tell."
        )
    else:
        needed = paired.seeds_for(test.mean / test.deviation, paired.LEVEL / tests)
        more = f"{needed} would tell" if needed is not None else f"more than {paired.MOST_SEEDS:,} would be needed for"
        verdict = f"{first} and {second} are not distinguishable with {test.count} seeds; {more} a difference of {by}."
    return Difference(
        *column, first, second, test.mean, test.low, test.high, test.p, corrected, test.count, needed, verdict
    )


def _improvements(
    rows: Sequence[Row], taken: Taken, losses: Mapping[str, Mapping[Column, Mapping[str, float]]]
) -> list[Improvement]:
    """Compare the first row with each other one over all numbers, where there are several."""
    which = taken.whiches[0]
    strata: dict[str, list[Column]] = {}
    for metric in taken.metrics:
        strata.setdefault(metric.name.partition(ON)[2], []).append((metric.name, which))
    if len(taken.metrics) < 2 or not rows:
        return []
    found = []
    for other in rows[1:]:
        arrays = [[_array(losses[row.name], columns) for row in (rows[0], other)] for columns in strata.values()]
        if all(len(array) > 1 for both in arrays for array in both):
            chance = improvement.probability_of_improvement([(first, second) for first, second in arrays])
            assert chance.low is not None
            assert chance.high is not None
            found.append(Improvement(rows[0].name, other.name, which, chance.value, chance.low, chance.high))
    return found


def _array(losses: Mapping[Column, Mapping[str, float]], columns: Sequence[Column]) -> NDArray[np.float64]:
    """Return the scores of the runs that have all of them: (runs, columns)."""
    of = [losses.get(column, {}) for column in columns]
    whole = [repeated for repeated in of[0] if all(repeated in each for each in of)]
    return np.array([[each[repeated] for each in of] for repeated in whole]).reshape(len(whole), len(columns))
