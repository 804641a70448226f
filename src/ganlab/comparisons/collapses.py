"""Runs that ended in a collapse: they are compared at the last checkpoint from before it."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.comparisons.collected import COLLAPSED, COLLAPSES, RunFacts
from ganlab.core.errors import GanlabError, few
from ganlab.reports.words import counted
from ganlab.runs import run_folder

_MOST = 8  # runs in a sentence


def take_last_checkpoints(runs: Sequence[RunFacts]) -> None:
    """Give each run that ended in a collapse the iteration of its newest whole checkpoint: numbers that are not finite
    are never saved, so it is from before."""
    for run in runs:
        if run.state == COLLAPSED:
            from ganlab.runs import checkpoints  # with Lightning, which takes seconds

            try:
                _, checkpoint, _ = checkpoints.newest(run.folder / run_folder.CHECKPOINTS)
            except GanlabError:
                continue
            run.last_iteration = int(checkpoint["ganlab"]["progress"]["iteration"])


def sentence(runs: Sequence[RunFacts]) -> str:
    """Return which runs collapsed, when, and what is compared of those that ended so; empty if none did."""
    having = [run for run in runs if run.collapsed is not None]
    if not having:
        return ""
    seeds = [run.seed for run in runs]
    names = [f"seed {run.seed}" if seeds.count(run.seed) == 1 else run.name for run in having]
    said = few([_said(run, name) for run, name in zip(having, names, strict=True)], _MOST)
    return f"{len(having)} of {counted(len(runs), 'run')} collapsed: {said}."


def _said(run: RunFacts, name: str) -> str:
    at = f"{name} at iteration {run.collapsed or 0:,}"
    if run.state != COLLAPSED:
        return at
    compared = sorted({score.iteration for score in run.scores.values()})
    if not compared:
        return f"{at} (it kept no checkpoint from before)"
    before = [iteration for iteration in compared if iteration < (run.collapsed or 0)]
    after = [iteration for iteration in compared if iteration not in before]  # the best score may lie behind the sign
    parts = [f"{_listed(part)}, {where} it" for part, where in ((before, "before"), (after, "after")) if part]
    return f"{at} (compared at {', and at '.join(parts)})"


def _listed(iterations: Sequence[int]) -> str:
    return " and ".join(f"{iteration:,}" for iteration in iterations)


def alarms(runs: Sequence[RunFacts]) -> list[str]:
    """Return a sentence for each other sign that the guards of runs saw, and for each that they went back from."""
    found: dict[str, list[str]] = {}
    for run in runs:
        for event in run.events:
            if event.sign not in COLLAPSES or event.action == "rollback":
                went_back = ", and it went back" if event.action == "rollback" else ""
                found.setdefault(event.sign, []).append(f"{run.name} since iteration {event.began:,}{went_back}")
    return [f"The guard saw {sign}: {few(said, _MOST)}." for sign, said in found.items()]


def summary(runs: Sequence[RunFacts]) -> str:
    """Return how many runs collapsed, and at which iteration in the mean: ``2 of 3 at 1,475``; empty if none did."""
    at = iterations(runs)
    return f"{len(at)} of {len(runs)} at {sum(at) / len(at):,.0f}" if at else ""


def iterations(runs: Sequence[RunFacts]) -> list[int]:
    """Return the iterations at which runs collapsed."""
    return [run.collapsed for run in runs if run.collapsed is not None]
