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
    more = "; ".join(filter(None, [BETTER.get(value.get("better", "none"), ""), value.get("about", "")]))
    return " ".join(filter(None, [value.get("meaning", ""), f"{more[:1].upper()}{more[1:]}." if more else ""]))


def things(record: Mapping[str, Any]) -> str:
    """Return what an evaluation scored: images, or points, which are not rounded to levels of grey."""
    return "points" if record["protocol"].get("quantised") is False else "images"


def counted(count: int, what: str) -> str:
    """Return a number of things: ``1 sample``, ``2,000 samples``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
