"""Scoring the checkpoints of a comparison that were not scored: under one protocol, each once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ganlab.comparisons.answer import BEST, LAST
from ganlab.comparisons.collected import Record, RunFacts
from ganlab.comparisons.groups import Group, Key, Wanted, key
from ganlab.core.errors import GanlabError, sentence, suggestion
from ganlab.evaluation.protocol import Protocol

# the iteration of a run's checkpoint, or None if it has none, by which one it is
Places = Mapping[str, Callable[[RunFacts], int | None]]


def fill(group: Group, places: Places, wanted: Wanted, notes: list[str]) -> None:
    """Give a group the record of each run and checkpoint; take those that there are not.

    Scores of a run that are of the protocol are taken as they are. If a new one shows that today's protocol is another
    than that of older scores (other weights of the extractor, say), the older ones are taken again.

    Raises:
        GanlabError: If no run can be scored.
    """
    chosen, protocol = _chosen(group, places, wanted)
    failed: dict[str, GanlabError] = {}
    for _ in range(2):
        lacking = _found(group, places, chosen, failed)[1]
        for number, (run, which, iteration) in enumerate(lacking):
            if run.name in failed or any(key(r) == chosen and _of(r, iteration) for r in run.records):
                continue
            wanted.say(f"scoring {run.name}, {which} checkpoint ({number + 1} of {len(lacking)})")
            try:
                record = _score(run, which, iteration, protocol or _preset(run, wanted), wanted.device)
            except GanlabError as error:
                failed[run.name] = error
                continue
            run.records.append(record)
            chosen = key(record)
    group.records = _found(group, places, chosen, failed)[0]
    if failed and not group.records:
        raise next(iter(failed.values()))
    notes += [f"{name} could not be scored: {sentence(error)}" for name, error in failed.items()]


def checkpoints_by_kimg(run: RunFacts) -> dict[float, int]:
    """Return the iterations of a run's checkpoints by kimg; damaged files are passed over."""
    from ganlab.runs import checkpoints, run_folder

    found = {}
    for path in checkpoints.candidates(run.folder / run_folder.CHECKPOINTS):
        try:
            iteration = int(checkpoints.load(path)["ganlab"]["progress"]["iteration"])
        except GanlabError:
            continue
        found[round(iteration * run.kimg / max(run.iteration, 1), 6)] = iteration
    return found


def _found(
    group: Group, places: Places, chosen: Key | None, failed: Mapping[str, GanlabError]
) -> tuple[dict[tuple[str, str], Record], list[tuple[RunFacts, str, int]]]:
    """Return the records under a protocol, and the checkpoints that have none."""
    found, lacking = {}, []
    for run in group.runs:
        for which, place in places.items():
            iteration = place(run)
            if iteration is None:
                continue
            of = [r for r in run.records if key(r) == chosen and _of(r, iteration)]
            if of:
                found[run.name, which] = of[-1]
            elif run.name not in failed:
                lacking.append((run, which, iteration))
    return found, lacking


def _of(record: Record, iteration: int) -> bool:
    return not record["during_training"] and record["subject"]["iteration"] == iteration


def _chosen(group: Group, places: Places, wanted: Wanted) -> tuple[Key | None, Protocol | None]:
    """Return the protocol of scores that all runs have, or else the one that is wanted, with its newest scores."""
    needed = {(run.name, at) for run in group.runs for place in places.values() if (at := place(run)) is not None}
    scored: dict[Key, set[tuple[str, int]]] = {}
    examples: dict[Key, Record] = {}
    for run in group.runs:
        for record in run.records:
            if _reports(record, run) and all(name in record["values"] for name in wanted.metrics):
                scored.setdefault(key(record), set()).add((run.name, record["subject"]["iteration"]))
                if record["time"] >= examples.setdefault(key(record), record)["time"]:
                    examples[key(record)] = record
    newest = sorted(examples, key=lambda k: examples[k]["time"], reverse=True)
    named = [k for k in newest if wanted.protocol in (None, examples[k]["protocol"].get("name"))]
    full = [k for k in named if needed <= scored[k]]
    if full:
        return full[0], None
    preset = _preset(group.runs[0], wanted)
    _refuse_unknown(wanted.metrics, preset)
    held_out = bool(group.runs[0].config.get("data.held_out"))
    same = [k for k in newest if _matches(preset, examples[k]["protocol"], held_out)]
    return (same[0] if same else None), preset


def _reports(record: Record, run: RunFacts) -> bool:
    """Tell if a score is of images that chose no checkpoint."""
    chose = run.config.get("evaluate.reference")
    return not record["during_training"] and record["protocol"]["reference"].get("split") != chose


def _preset(run: RunFacts, wanted: Wanted) -> Protocol:
    """Return the protocol that was asked for, or else the run's own with what its options ``evaluate`` say of it; on
    the split that `ganlab evaluate` reports on."""
    from ganlab.runs.callbacks import evaluating

    data, named = str(run.config.get("data")), run.config.get("evaluate.protocol")
    if wanted.protocol is not None:
        found = evaluating.chosen(wanted.protocol, data, {})
    else:
        changes = {name: run.config.get(f"evaluate.{name}") for name in ("features", "samples")}
        found = evaluating.chosen(None if named is None else str(named), data, changes)
    return found if run.config.get("data.num_classes") else found.without_labels()


def _refuse_unknown(metrics: Sequence[str], preset: Protocol) -> None:
    """Refuse numbers that the protocol does not have, before the first run is scored."""
    known = list(dict.fromkeys(n for name, metric in preset.make_metrics().items() for n in (name, *metric.meanings)))
    for name in metrics:
        if name not in known:
            raise GanlabError(
                f"metric={name}: no run has this number, and protocol {preset.name} does not take it."
                f"{suggestion(name, known)} It has {', '.join(known)}; `ganlab evaluate RUN metrics=...` takes others."
            )


def _matches(preset: Protocol, described: Mapping[str, Any], held_out: bool) -> bool:
    """Tell if scores were taken as a preset says; the hash of their protocol says the rest."""
    whole = preset.completed()
    features, reference = described.get("features"), described["reference"]
    return (
        described.get("name") == preset.name
        and _same(described.get("metrics"), whole.metrics)
        # None: no metric needs any
        and (features is None or all(_same(features.get(name), value) for name, value in whole.features.items()))
        and reference.get("split") == (preset.reference if held_out else "train")
        and preset.samples in (0, described["samples"])
        and preset.reference_images in (0, reference.get("count"))
        and (described.get("ema"), described.get("seed")) == (preset.ema, preset.seed)
        and described.get("truncation") == preset.truncation
        and described.get("labels") in (preset.labels, "none")
    )


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _score(run: RunFacts, which: str, iteration: int, protocol: Protocol, device: str) -> Record:
    from ganlab.runs import choice, scoring

    named = {LAST: choice.NEWEST, BEST: BEST}.get(which, str(iteration))
    records = scoring.evaluate_run(run.folder, protocol, which=named, device=choice.device(device))
    record = records[-1]
    record["subject"]["iteration"] = iteration  # of a damaged last checkpoint the one before it is scored
    return record
