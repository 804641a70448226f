"""Words for scores, the same in the terminal as on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ganlab.reports.numbers import on_page

Value = Mapping[str, Any]

BETTER = {
    "lower": "lower is better",
    "higher": "higher is better",
    "real": "near the real ones' is better",
}


def judged(record: Mapping[str, Any]) -> list[str]:
    """Return the names of numbers of which one end is better."""
    return [name for name, v in record["values"].items() if v.get("better") in BETTER and v["value"] is not None]


def called(name: str) -> str:
    """Return a score's name as a sentence has it: short names are abbreviations, long ones are words."""
    return name.upper() if len(name) <= 3 else name.replace("_", " ")


def written(value: Value | None) -> str:
    """Return a score with the digits of its interval; empty if there is none."""
    if value is None or value.get("value") is None:
        return ""
    return on_page(value["value"], value.get("low"), value.get("high"))


def explained(value: Value) -> str:
    """Return what a number says, which end is better, and how it was taken."""
    more = taken(value)
    return " ".join(filter(None, [value.get("meaning", ""), f"{more[:1].upper()}{more[1:]}." if more else ""]))


def taken(value: Value) -> str:
    """Return which end of a number is better, and how it was taken; empty if neither is known."""
    return "; ".join(filter(None, [BETTER.get(value.get("better", "none"), ""), value.get("about", "")]))


def things(record: Mapping[str, Any]) -> str:
    """Return what an evaluation scored: images, or points, which are not rounded to levels of grey."""
    return "points" if record["protocol"].get("quantised") is False else "images"


def counted(count: int, what: str) -> str:
    """Return a number of things: ``1 sample``, ``2,000 samples``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def under(record: Mapping[str, Any]) -> str:
    """Return the protocol of an evaluation in a line: features, numbers of images, weights, labels and seed."""
    protocol, one = record["protocol"], things(record).removesuffix("s")
    features, reference = protocol.get("features") or {}, protocol["reference"]
    real = reference.get("statistics") or counted(reference.get("count", 0), f"{reference.get('split')} {one}")
    words = [
        f"features {features['component']}" if "component" in features else "no features",
        f"{counted(protocol['samples'], 'sample')} against {real}",
        "averaged weights" if protocol.get("ema") else "raw weights",
        f"labels: {protocol.get('labels')}",
        f"seed {protocol.get('seed')}",
    ]
    accuracy = features.get("held_out_accuracy")
    if isinstance(accuracy, float):
        words.insert(1, f"classifier's held-out accuracy {100 * accuracy:.1f} %")
    return " · ".join(words)
