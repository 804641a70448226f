"""The result of an evaluation in words: the score, that of real images, better or worse, and by how much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganlab.evaluation import scores
from ganlab.reports.numbers import interval_on_page, on_page
from ganlab.reports.words import BETTER, called, judged, things, written

Record = dict[str, Any]
Value = Mapping[str, Any]


@dataclass(frozen=True)
class Headline:
    """The first score of which less or more is better.

    Args:
        name: As a sentence has it.
        value: With the digits of its interval.
        interval: Of 95 %; empty if there is none.
        sentences: What it is of, and how it compares.
    """

    name: str
    value: str
    interval: str
    sentences: list[str]


def headline(latest: Record, held_out: Record | None, group: Sequence[Record]) -> Headline | None:
    """Return the headline of an evaluation, or None where no score has a better and a worse.

    Args:
        latest: The evaluation.
        held_out: Real images that were scored like generated ones, or None.
        group: All evaluations under the protocol, the newest last.
    """
    name = next((n for n in judged(latest) if latest["values"][n]["better"] != "real"), None)
    if name is None:
        return None
    value = latest["values"][name]
    beside = _beside_real(name, value, held_out, things(latest))
    sentences = [_of_what(latest, value), beside, _since(name, value, latest, group)]
    if latest.get("selected_on"):
        sentences.append(
            "This very score chose the checkpoint, so it flatters it: "
            f"report one of {things(latest)} that played no part in it."
        )
    ends = interval_on_page(value.get("low"), value.get("high"))
    return Headline(called(name), written(value), ends, [sentence for sentence in sentences if sentence])


def difference(value: Value, other: Value) -> str:
    """Return the difference to another score, such as ``worse by 46``; empty where the intervals allow both."""
    gap = value["value"] - other["value"]
    halves = [(v["high"] - v["low"]) / 2 for v in (value, other) if None not in (v.get("low"), v.get("high"))]
    error = math.hypot(*halves) if halves else None
    if gap == 0 or (error is not None and abs(gap) <= error):
        return ""
    better = (gap < 0) == (value["better"] == "lower")
    low, high = (abs(gap) - error, abs(gap) + error) if error is not None else (None, None)
    return f"{'better' if better else 'worse'} by {on_page(abs(gap), low, high)}"


def _of_what(latest: Record, value: Value) -> str:
    kind = latest["subject"]["kind"]
    what = scores.title(latest)
    of = f"Of {what}" if kind == "real" else f"Of the {things(latest)} of {what}"
    return f"{of}; {BETTER[value['better']]}."


def _beside_real(name: str, value: Value, held_out: Record | None, them: str) -> str:
    own = held_out["values"].get(name) if held_out is not None else None
    if own is not None and own.get("value") is not None:
        which = f"Real {them} that it was not trained on score"
    elif value.get("real") is not None:
        own, which = {"value": value["real"]}, f"The real {them} that it is compared with have"
    else:
        return f"No real {them} were scored under this protocol; real=true does so where as many are held out."
    found = difference(value, own)
    apart = f"the generated {them} are {found}" if found else "the difference is within the uncertainty"
    return f"{which} {written(own)}: {apart}."


def _since(name: str, value: Value, latest: Record, group: Sequence[Record]) -> str:
    """Compare with an earlier checkpoint of the run that was evaluated alike."""
    subject = latest["subject"]
    if subject["kind"] != "run":
        return ""
    for record in reversed(group):
        other, of = record["values"].get(name), record["subject"]
        alike = of["kind"] == "run" and of.get("truncation") == subject.get("truncation")
        if alike and of["iteration"] < subject["iteration"] and other is not None and other.get("value") is not None:
            found = difference(value, other)
            return f"Since iteration {of['iteration']}, which had {written(other)}, it is {found or 'about the same'}."
    return ""
