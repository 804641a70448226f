"""Scores of the runs that are compared: of one protocol, and of checkpoints that correspond."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ganlab.comparisons import collapses, missing
from ganlab.comparisons.answer import BEST, LAST, MetricInfo
from ganlab.comparisons.collected import (
    COLLAPSED,
    FAILED,
    MISSING,
    PRUNED,
    UNFINISHED,
    Record,
    RunFacts,
    Scored,
    finite,
)
from ganlab.comparisons.groups import Group, Wanted, groups, key, words
from ganlab.core.errors import GanlabError, few
from ganlab.evaluation import scores
from ganlab.reports.words import BETTER

ON = " on "  # between a number and the data set that it is of


@dataclass
class Taken:
    """Scores that were taken for a comparison; each run has its own in ``scores``.

    Args:
        protocols: In words, one for each data set.
        whiches: Of which checkpoints.
        metrics: The numbers that have an order.
        compared: The runs that have scores.
    """

    protocols: list[str]
    whiches: list[str]
    metrics: list[MetricInfo]
    compared: list[RunFacts]


def take(runs: Sequence[RunFacts], wanted: Wanted, notes: list[str]) -> tuple[list[Group], list[str]]:
    """Find, or take, the record of each run and checkpoint that is compared.

    Returns:
        The runs by data set, and which checkpoints.

    Raises:
        GanlabError: If the runs share no score.
    """
    collapses.take_last_checkpoints(runs)
    alive = [run for run in runs if run.state not in (FAILED, MISSING, PRUNED) and _has_weights(run)]
    _say_left_out(runs, notes)
    if not alive:
        raise GanlabError(
            collapses.sentence(runs) or "None of the runs has trained to an end, so there is nothing to compare."
        )
    found = groups(alive)
    if wanted.kimg is not None:
        return found, [_during(found, wanted, notes)]
    unfinished = [run for run in alive if run.state == UNFINISHED]
    if unfinished and any(_during_training(run) for run in unfinished):
        which = _during(found, wanted, notes)
        names = few([run.name for run in unfinished])
        notes.append(f"Not finished: {names}. All runs are compared at {which}, the largest that they share.")
        return found, [which]
    if unfinished:
        return _without_scores(alive, unfinished, wanted, notes)
    return found, _finished(found, wanted, notes)


def _has_weights(run: RunFacts) -> bool:
    return run.state != COLLAPSED or run.last_iteration is not None


def _say_left_out(runs: Sequence[RunFacts], notes: list[str]) -> None:
    for state, said in ((MISSING, "Not started"), (PRUNED, "Ended early by the search, and left out")):
        names = [run.name for run in runs if run.state == state]
        if names:
            notes.append(f"{said}: {few(names, 8)}.")


def _without_scores(
    alive: Sequence[RunFacts], unfinished: Sequence[RunFacts], wanted: Wanted, notes: list[str]
) -> tuple[list[Group], list[str]]:
    """Compare unfinished runs that were not scored during training: at the last checkpoint that all runs share, or, if
    there is none, without them. A run that collapsed before is compared at its last checkpoint."""
    there = {run.name: missing.checkpoints_by_kimg(run) for run in alive}
    common = set.intersection(*(set(there[run.name]) for run in alive if run.state != COLLAPSED))
    if common:
        kimg = max(common)
        which = f"{kimg:g} kimg"
        before = {name: [at for at in found if at <= kimg] for name, found in there.items()}
        found = groups([run for run in alive if before[run.name]])
        for group in found:
            missing.fill(group, {which: lambda run: there[run.name][max(before[run.name])]}, wanted, notes)
        names = few([run.name for run in unfinished])
        notes.append(f"Not finished: {names}. All runs are compared at {which}, the last checkpoint that they share.")
        return found, [which]
    done = [run for run in alive if run not in unfinished]
    if not done:
        raise GanlabError(
            f"{few([run.name for run in unfinished])}: these runs are not finished and have no point of training in "
            f"common; finish them with `ganlab resume RUN`, or train with evaluate.every_kimg=."
        )
    notes.append(
        f"Not finished, and left out for want of scores during training: {few([run.name for run in unfinished])}."
    )
    found = groups(done)
    return found, _finished(found, wanted, notes)


def _finished(found: Sequence[Group], wanted: Wanted, notes: list[str]) -> list[str]:
    """Take the scores of the last checkpoints, and of the best ones that there are; these come first if every run has
    one."""
    runs = [run for group in found for run in group.runs]
    without = [run.name for run in runs if run.best_iteration is None]
    places: dict[str, Callable[[RunFacts], int | None]] = {
        BEST: lambda run: run.best_iteration,
        LAST: lambda run: run.iteration if run.state != COLLAPSED else run.last_iteration,
    }
    if without:
        best = places.pop(BEST)
        if len(without) < len(runs):
            places[BEST] = best
            notes.append(
                f"{few(without)} kept no best checkpoint (evaluate.every_kimg=): that column is of the other runs."
            )
    for group in found:
        missing.fill(group, places, wanted, notes)
    return list(places)


def _during(found: Sequence[Group], wanted: Wanted, notes: list[str]) -> str:
    """Take the scores during training at the largest kimg that all runs have reached; return what it is called."""
    of = {run.name: _during_training(run, wanted.metrics) for group in found for run in group.runs}
    without = [name for name, records in of.items() if not records]
    if len(without) == len(of):
        at = "" if wanted.kimg is None else f"at=kimg:{wanted.kimg:g}: "
        raise GanlabError(f"{at}no run has scores during training, which it needs: train with evaluate.every_kimg=.")
    if without:
        notes.append(f"No scores during training, and left out: {few(without)}.")
    going = {run.name for group in found for run in group.runs if run.state != COLLAPSED} or set(of)
    ends = {name: float(records[-1]["subject"]["kimg"]) for name, records in of.items() if records}
    reached = min((end for name, end in ends.items() if name in going), default=max(ends.values()))
    most = reached if wanted.kimg is None else min(reached, wanted.kimg)
    taken = []
    for group in found:
        for run in group.runs:
            taken += [(group, run, r) for r in of[run.name] if r["subject"]["kimg"] <= most + 1e-9][-1:]
    if not taken:
        first = min(float(records[0]["subject"]["kimg"]) for records in of.values() if records)
        raise GanlabError(f"at=kimg:{most:g}: the first scores during training are at {first:g} kimg.")
    kimg = max(float(record["subject"]["kimg"]) for _, _, record in taken)
    which = f"{kimg:g} kimg"
    for group, run, record in taken:
        group.records[run.name, which] = record
    if wanted.kimg is not None and kimg < wanted.kimg:
        notes.append(f"Compared at {which}, the last scores up to {wanted.kimg:g} kimg that all runs have.")
    return which


def _during_training(run: RunFacts, metrics: Sequence[str] = ()) -> list[Record]:
    """Return the records during training under the newest protocol that has the numbers."""
    having = [r for r in run.records if r["during_training"] and all(name in r["values"] for name in metrics[:1])]
    return [record for record in having if key(record) == key(having[-1])]


def give(found: Sequence[Group], whiches: Sequence[str], labels: Sequence[str], wanted: Wanted) -> Taken:
    """Give each run the scores of its records.

    Args:
        labels: What the numbers of each group are of: ``digits``; empty where there is one data set.

    Raises:
        GanlabError: If there are none, or no run has the number that is asked for.
    """
    infos: dict[str, MetricInfo] = {}
    for group, label in zip(found, labels, strict=True):
        _refuse_different(group)
        for (name, which), record in group.records.items():
            run = next(run for run in group.runs if run.name == name)
            run.warnings += record["warnings"]
            for number, value in record["values"].items():
                if value.get("better") in BETTER and finite(value["value"]):
                    called = f"{number}{ON}{label}" if label else number
                    run.scores[called, which] = _scored(record, value)
                    infos.setdefault(
                        called, MetricInfo(called, value["better"], value.get("meaning", ""), value["real"])
                    )
    names = _ordered(list(infos), found, labels, wanted.metrics)
    compared = [run for group in found for run in group.runs if run.scores]
    used = [which for which in whiches if any((names[0], which) in run.scores for run in compared)]
    protocols = [words(next(iter(group.records.values()))["protocol"]) for group in found if group.records]
    return Taken(list(dict.fromkeys(protocols)), used, [infos[name] for name in names], compared)


def _scored(record: Record, value: dict[str, Any]) -> Scored:
    subject = record["subject"]
    return Scored(value["value"], value["low"], value["high"], subject["iteration"], float(subject["kimg"]))


def _refuse_different(group: Group) -> None:
    """Refuse records of different protocols, and such as have no number in common."""
    records = [(name, record) for (name, _), record in group.records.items()]
    for name, record in records[1:]:
        if not records[0][1]["values"].keys() & record["values"].keys():
            one, other = (", ".join(r["values"]) for r in (records[0][1], record))
            raise GanlabError(
                f"The runs share no number: {records[0][0]} has {one}, {name} has {other}. Evaluate both alike."
            )
    scores.refuse_different([record for _, record in records], [name for name, _ in records])


def _ordered(there: Sequence[str], found: Sequence[Group], labels: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return the names of numbers: those that are asked for, or all, after the one that chose the best checkpoints."""
    if not there:
        raise GanlabError("The runs share no scores: none of them has a number with a better and a worse end.")
    bare = {name: name.partition(ON)[0] for name in there}
    known = list(dict.fromkeys(bare.values()))
    for name in wanted:
        if name not in known:
            raise GanlabError(
                f"metric={name}: no run has this number. They have {', '.join(known)}; `ganlab evaluate RUN "
                f"metrics=...` takes others."
            )
    chosen = found[0].runs[0].config.get("evaluate.metrics")
    first = [name for name in known if isinstance(chosen, list) and chosen[:1] == [name]]
    order = list(wanted) or [*first, *(name for name in known if name not in first)]
    return sorted((name for name in there if bare[name] in order), key=lambda name: order.index(bare[name]))
