"""Options that varied between runs: the keys that make configurations, what follows from them, and what is common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ganlab.comparisons import flat
from ganlab.comparisons.collected import SEED, RunFacts
from ganlab.core import kinds
from ganlab.core.errors import GanlabError, few, suggestion

ABSENT = "-"  # an option of a component that a run does not have


@dataclass
class Varied:
    """Options that varied.

    Args:
        by: The keys of a row.
        others: Keys that vary too while those of ``by`` do not, and their values.
        around: The same for options that change nothing of what is trained.
        following: Keys that vary only where those of ``by`` do, without the options of these, and their values.
        common: Options that all runs share.
    """

    by: list[str]
    others: dict[str, list[str]]
    around: dict[str, list[str]]
    following: dict[str, list[str]]
    common: dict[str, str]


def value(run: RunFacts, key: str) -> str:
    """Return what a run has at a key: as the sweep's command line had it, or from its configuration."""
    if key in run.swept:
        return run.swept[key]
    return flat.shown(run.config[key]) if key in run.config else ABSENT


def find(runs: Sequence[RunFacts], by: Sequence[str] = (), without: Sequence[str] = ()) -> Varied:
    """Find what varied.

    Keys are taken in the order of a sweep's command line, then components, then options; an option whose value follows
    from those before it is no key. The seed makes repetitions, and is no key of its own unless ``by`` names it.

    Args:
        by: The keys of a row; empty: all that vary.
        without: Keys that make no rows: those of several data sets.

    Raises:
        GanlabError: If a key of ``by`` is the same in all runs, or no run has it.
    """
    swept = list(dict.fromkeys(key for run in runs for key in run.swept))
    configured = [run for run in runs if run.config]
    options = list(dict.fromkeys(key for run in configured for key in run.config))
    options.sort(key=lambda key: (key not in kinds.KINDS, key.count(".")))
    keys = list(dict.fromkeys([*swept, *options]))
    values = {key: {value(run, key) for run in (runs if key in swept else configured)} for key in keys}
    _refuse(by, values)
    varying = [key for key in keys if len(values[key]) > 1 and key not in (SEED, *without)]
    free = [key for key in varying if key in swept or not flat.is_around(key)]
    kept: list[str] = []
    for key in [*by, *free]:
        if key not in kept and (key in by or key in swept or not _follows(key, kept, configured)):
            kept.append(key)
    rows = list(by) or kept
    following = [key for key in _without_options(free) if key not in kept]
    return Varied(
        rows,
        {key: sorted(values[key]) for key in kept if key not in rows},
        {key: sorted(values[key]) for key in varying if key not in free and key not in rows and key != "run.dir"},
        {key: sorted(values[key]) for key in following},
        {key: next(iter(values[key])) for key in keys if len(values[key]) == 1},
    )


def _without_options(keys: Sequence[str]) -> list[str]:
    """Return keys without those under others: ``reg.sn.players``, where ``reg`` is one."""
    return [key for key in keys if not any(key.startswith(f"{other}.") for other in keys)]


def _refuse(by: Sequence[str], values: dict[str, set[str]]) -> None:
    varied = _without_options([key for key, found in values.items() if len(found) > 1 and key != "run.dir"])
    for key in by:
        if len(values.get(key, ())) > 1:
            continue
        said = f"Varied are: {few(varied, 8)}." if varied else "Nothing varied."
        if key in values:
            raise GanlabError(f"by={key}: all runs have {key}={next(iter(values[key]))}, so it did not vary. {said}")
        raise GanlabError(f"by={key}: no run has this option.{suggestion(key, values)} {said}")


def _follows(key: str, kept: Sequence[str], runs: Sequence[RunFacts]) -> bool:
    """Tell if the value of a key is the same wherever those of the kept ones are."""
    found: dict[tuple[str, ...], str] = {}
    return all(found.setdefault(tuple(value(run, k) for k in kept), value(run, key)) == value(run, key) for run in runs)


def constant(groups: Sequence[Sequence[RunFacts]]) -> dict[str, list[str]]:
    """Return the options that are the same in each group of runs and not in all of them, with the value of each."""
    runs = [run for group in groups for run in group]
    keys = dict.fromkeys(key for run in runs for key in [*run.swept, *run.config])
    found = {}
    for key in keys:
        values = [{value(run, key) for run in group} for group in groups]
        if key not in (SEED, "run.dir") and all(len(each) == 1 for each in values):
            found[key] = [next(iter(each)) for each in values]
    return {key: each for key, each in found.items() if len(set(each)) > 1}
