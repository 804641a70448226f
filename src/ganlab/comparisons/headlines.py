"""The answer in words."""

from __future__ import annotations

from collections.abc import Sequence

from ganlab.comparisons.answer import BEST, LAST, Answer, Difference, Row, size
from ganlab.core.errors import few
from ganlab.reports.numbers import interval, number
from ganlab.reports.words import called, counted
from ganlab.statistics.paired import MOST_SEEDS

_END = {"lower": "lowest", "higher": "highest"}
_OF = {BEST: "of the best checkpoint", LAST: "of the last checkpoint"}
_MOST = 6  # names in a sentence


def sentences(answer: Answer) -> list[str]:
    """Return the answer on the first number and checkpoint: which configuration is ahead, of which others a test tells
    it apart, and how many seeds would tell it from the rest."""
    metric, which = answer.metrics[0], answer.whiches[0]
    best = answer.rows[0]
    score = best.scores[metric.name, which]
    ends = interval(score.low, score.high)
    value = number(score.mean, score.low, score.high) + (f" [{ends}]" if ends else "")
    what = f"{called(metric.name)} {_OF.get(which, f'at {which}')}"
    over = f"over {counted(score.n, 'seed')}"
    if len(answer.rows) == 1:
        return [f"The {what} is {value} {over}.", *_untested(answer, best)]
    if sum((metric.name, which) in row.scores for row in answer.rows) == 1:
        return [f"Only {best.name} has a score: the {what} is {value} {over}.", *_untested(answer, best)]
    if metric.better == "real":
        ahead = f"has the {what} that is nearest to that of real images: {value} {over}."
    else:
        ahead = f"has the {_END[metric.better]} {what}: {value} {over}."
    others = [d for row in answer.rows[1:] if (d := answer.between(best.name, row.name, metric.name, which))]
    if all(d.p is None for d in others):
        return [f"{best.name} {ahead}", *_untested(answer, best)]
    if not any(d.is_real for d in others):
        found = [f"No configuration is distinguishable from {best.name}, which {ahead}"]
    else:
        found = [f"{best.name} {ahead}"]
    if better := [d for d in others if d.is_real and d.first == best.name]:
        found.append(
            f"It is better than {few([d.second for d in better], _MOST)}: paired tests over common seeds, with Holm's "
            f"correction for {counted(_pairs(answer), 'pair')}."
        )
    found += [d.verdict for d in others if d.is_real and d.first != best.name]
    return [*found, *_open([d for d in others if not d.is_real], best)]


def _open(others: Sequence[Difference], best: Row) -> list[str]:
    """Return what is to be said of configurations that no test tells from the best one."""
    if len(others) < 2:
        return [d.verdict for d in others]
    said = []
    if equal := [_other(d, best) for d in others if d.p is not None and d.mean == 0]:
        said.append(f"It is equal to {few(equal, _MOST)} in every common seed.")
    tested = [d for d in others if d.p is not None and d.mean != 0]
    if tested:
        counts = {d.seeds for d in tested}
        seeds = counted(counts.pop(), "seed") if len(counts) == 1 else "the common seeds"
        finite = sorted((d for d in tested if d.needed is not None), key=lambda d: d.needed or 0)
        enough = [f"{d.needed} for {_other(d, best)} ({size(d.mean, d.low, d.high)})" for d in finite]
        more = [_other(d, best) for d in tested if d.needed is None]
        said.append(f"{seeds} are too few for the differences that were seen.")
        if enough:
            said[-1] += f" Enough would be {few(enough, _MOST, '; ')}."
        if more:
            said[-1] += f" More than {MOST_SEEDS:,} would be needed for {few(more, _MOST, '; ')}."
    if untested := [_other(d, best) for d in others if d.p is None]:
        said.append(f"It shares one seed with {few(untested, _MOST)}: there is no test.")
    return [sentence[:1].upper() + sentence[1:] for sentence in said]


def _other(difference: Difference, best: Row) -> str:
    return difference.second if difference.first == best.name else difference.first


def _pairs(answer: Answer) -> int:
    """Return the number of tests on the first column."""
    first = answer.metrics[0].name, answer.whiches[0]
    return sum(d.p is not None and (d.metric, d.which) == first for d in answer.differences)


def _untested(answer: Answer, best: Row) -> list[str]:
    if max(len(row.seeds) for row in answer.rows) < 2:
        return ["One seed only: there is no interval and no test. Train more of them, as seed=0,1,2,3,4."]
    if len(answer.rows) > 1:
        return [f"{best.name} shares at most one seed with the others, so no difference is tested."]
    return []
