"""Compare runs: from their folders to an answer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ganlab.comparisons import answering, collected, scored, studies, varied
from ganlab.comparisons.answer import Answer
from ganlab.comparisons.collected import RunFacts
from ganlab.comparisons.groups import Group, Wanted, complete, groups
from ganlab.comparisons.varied import Varied
from ganlab.core.errors import GanlabError
from ganlab.reports.words import counted


def compare(words: Sequence[str | os.PathLike[str]], by: Sequence[str] = (), wanted: Wanted | None = None) -> Answer:
    """Compare the runs of sweeps and run folders; runs that were not scored are scored first.

    Args:
        words: Folders of runs and of sweeps.
        by: Keys of the rows; empty: all that vary.
        wanted: The scores; None: those of the best and last checkpoints.

    Raises:
        GanlabError: If there is nothing to compare, in one sentence.
    """
    wanted = wanted or Wanted()
    runs = collected.runs(words)
    search = studies.search(Path(os.path.expanduser(words[0])).absolute()) if len(words) == 1 else None
    if search is not None:
        studies.name_trials(runs)
    labels, rows = _sorted(runs, by)
    notes: list[str] = []
    found, whiches = scored.take(runs, wanted, notes)
    names = [labels[group.runs[0].name] for group in found]
    taken = scored.give(found, whiches, names if len(found) > 1 else [""] * len(found), wanted)
    by_words = f", by {', '.join(rows.by)}" if rows.by else ""
    what = f"{counted(len(runs), 'run')}{by_words}" if search is None else f"Search of {counted(len(runs), 'trial')}"
    answer = answering.answer(what, runs, rows, taken, notes, trials=search is not None)
    if search is not None and (study := studies.study(search, runs)) is not None:
        answer.study = study
        answer.headline = [
            *studies.said(study, answer),
            *(answer.headline if any(d.p is not None for d in answer.differences) else []),
        ]
    return answer


def _sorted(runs: Sequence[RunFacts], by: Sequence[str]) -> tuple[dict[str, str], Varied]:
    """Return the name of each run's data set, and what varied beside it.

    Raises:
        GanlabError: If runs are of several data sets and no two configurations share one; or see `varied.find`.
    """
    complete(runs)
    of_data = groups([run for run in runs if run.config])
    if len(of_data) < 2:
        return {run.name: "" for run in runs}, varied.find(runs, by)
    apart = varied.constant([group.runs for group in of_data])
    names = _names(of_data, apart)
    if not any(key in apart for key in by):
        rows = varied.find(runs, by, tuple(apart))
        shared = [{tuple(varied.value(run, key) for key in rows.by) for run in group.runs} for group in of_data]
        if any(len(configurations) > 1 for configurations in shared):
            return {run.name: name for name, group in zip(names, of_data, strict=True) for run in group.runs}, rows
    one, other = of_data[0].runs[0].name, of_data[1].runs[0].name
    raise GanlabError(
        f"{one} and {other} are of other data ({names[0]}, {names[1]}), and scores on other images are not compared: "
        f"give runs of one data set, or a sweep that has each configuration on each."
    )


def _names(of_data: Sequence[Group], apart: dict[str, list[str]]) -> list[str]:
    """Return a name for each data set: the first option that tells all of them apart."""
    keys = sorted((key for key in apart if key.partition(".")[0] == "data"), key=lambda key: key.count("."))
    for key in keys:
        if len(set(apart[key])) == len(of_data):
            return [each if key == "data" else f"{key}={each}" for each in apart[key]]
    return [f"data set {number + 1}" for number in range(len(of_data))]
