"""Scores of the runs that are compared: of one protocol, and of checkpoints that correspond."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ganlab.comparisons.answer import BEST, LAST, MetricInfo
from ganlab.comparisons.collected import DONE, FAILED, Record, RunFacts, Scored, finite
from ganlab.core.errors import GanlabError, few
from ganlab.reports.words import BETTER

Key = tuple[str, float | None]  # the hash of a protocol, and the truncation


@dataclass
class Taken:
    """Scores that were taken for a comparison; each run has its own in ``scores``.

    Args:
        protocol: In words.
        whiches: Of which checkpoints.
        metrics: The numbers that have an order.
        compared: The runs that have scores.
        notes: What was left out.
    """

    protocol: str
    whiches: list[str]
    metrics: list[MetricInfo]
    compared: list[RunFacts]
    notes: list[str] = field(default_factory=list)


def take(runs: Sequence[RunFacts], metrics: Sequence[str] = (), kimg: float | None = None) -> Taken:
    """Give each run the scores that are compared.

    Args:
        metrics: Names of numbers, the one that orders first; empty: all that have an order.
        kimg: Compare scores during training at this point at the latest; None: those of the best and last checkpoints.

    Raises:
        GanlabError: If the runs share no score.
    """
    alive = [run for run in runs if run.state != FAILED]
    unfinished = [run for run in alive if run.state != DONE and run.records]
    if kimg is None and not unfinished:
        return _finished(alive, metrics)
    return _during(alive, metrics, kimg, unfinished)


def _finished(runs: Sequence[RunFacts], metrics: Sequence[str]) -> Taken:
    key = _common([record for run in runs for record in run.records if not record["during_training"]])
    records: list[Record] = []
    for run in runs:
        best = [r["subject"]["iteration"] for r in run.records if r["during_training"] and r["selected_on"]]
        for which, iteration in ((LAST, run.iteration), *((BEST, number) for number in best[-1:])):
            of = [r for r in run.records if _key(r) == key and not r["during_training"]]
            of = [r for r in of if r["subject"]["iteration"] == iteration]
            records += of[-1:]
            for record in of[-1:]:
                _give(run, which, record)
    return _taken(runs, records, [BEST, LAST], metrics)


def _during(
    runs: Sequence[RunFacts], metrics: Sequence[str], kimg: float | None, unfinished: Sequence[RunFacts]
) -> Taken:
    key = _common([record for run in runs for record in run.records if record["during_training"]])
    of = {run.name: [r for r in run.records if r["during_training"] and _key(r) == key] for run in runs}
    having = [run for run in runs if of[run.name]]
    if not having:
        raise GanlabError(
            "No run has scores during training, which a comparison at a kimg and one of unfinished runs need: train "
            "with evaluate.every_kimg=."
        )
    reached = min(max(float(r["subject"]["kimg"]) for r in of[run.name]) for run in having)
    most = reached if kimg is None else min(reached, kimg)
    records = []
    for run in having:
        until = [r for r in of[run.name] if r["subject"]["kimg"] <= most + 1e-9]
        records += until[-1:]
        for record in until[-1:]:
            _give(run, f"{most:g} kimg", record)
    taken = _taken(having, records, [f"{most:g} kimg"], metrics)
    if unfinished and kimg is None:
        names = few([run.name for run in unfinished])
        taken.notes.append(
            f"Not finished: {names}. All runs are compared at {most:g} kimg, the largest that they share."
        )
    return taken


def _key(record: Record) -> Key:
    return record["protocol_hash"], record["subject"].get("truncation")


def _common(records: Sequence[Record]) -> Key | None:
    counts = Counter(map(_key, records))
    return counts.most_common(1)[0][0] if counts else None


def _give(run: RunFacts, which: str, record: Record) -> None:
    subject = record["subject"]
    for name, found in record["values"].items():
        if found.get("better") in BETTER and finite(found["value"]):
            run.scores[name, which] = Scored(
                found["value"], found["low"], found["high"], subject["iteration"], float(subject["kimg"])
            )


def _taken(
    runs: Sequence[RunFacts], records: Sequence[Record], whiches: Sequence[str], metrics: Sequence[str]
) -> Taken:
    there = list(dict.fromkeys(name for run in runs for name, _ in run.scores))
    if not there:
        raise GanlabError("The runs share no scores: ganlab evaluate RUN takes them.")
    missing = [name for name in metrics if name not in there]
    if missing:
        raise GanlabError(f"metric={missing[0]}: no run has this number. They have {', '.join(there)}.")
    infos = []
    for name in metrics or there:
        found: dict[str, Any] = next(r["values"][name] for r in records if name in r["values"])
        infos.append(MetricInfo(name, found["better"], found.get("meaning", ""), found["real"]))
    used = [which for which in whiches if any((infos[0].name, which) in run.scores for run in runs)]
    compared = [run for run in runs if run.scores]
    notes = [f"No scores: {few([run.name for run in runs if not run.scores])}."] if len(compared) < len(runs) else []
    return Taken(words(records[-1]["protocol"]), used, infos, compared, notes)


def words(protocol: dict[str, Any]) -> str:
    """Return a protocol in a line."""
    features, reference = protocol.get("features") or {}, protocol["reference"]
    of = f"{reference.get('count', 0):,} {reference['split']} images" if "split" in reference else "given statistics"
    by = f", features of {features['component']}" if "component" in features else ""
    return f"protocol {protocol.get('name', '')}: {protocol['samples']:,} samples against {of}{by}"
