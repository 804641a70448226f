"""The events of a guarded run, signs that were seen and what was done: lines of metrics.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ganlab.core import json_lines
from ganlab.core.json_lines import is_number
from ganlab.core.run_files import METRICS

EVENT = "event"  # the key of a line that is one: its number, from 0 on


@dataclass(frozen=True)
class Event:
    """A sign of failure that the guard saw, and what it did.

    Args:
        iteration: Where the event lies in metrics.jsonl: where the sign was seen, or where the run went on from.
        kimg: The same in thousands of images.
        event: Its number in the run, from 0 on.
        sign: ``collapse``, ``explosion`` and so on, as in docs/guard.md.
        action: ``warn``, ``stop`` or ``rollback``.
        began: The first iteration of the sign.
        noticed: The iteration in which the guard was sure.
        quantity: What shows it, by its name in metrics.jsonl.
        sentence: The evidence.
    """

    iteration: int
    kimg: float
    event: int
    sign: str
    action: str
    began: int
    noticed: int
    quantity: str
    sentence: str


def events(folder: Path) -> list[Event]:
    """Return the events of a run, oldest first; none if it has no metrics.jsonl. Lines that cannot be read are passed
    over."""
    try:
        lines = [line for _, line in json_lines.read(folder / METRICS)]
    except OSError:
        return []
    return [event for line in lines if (event := _event(line)) is not None]


def _event(line: Any) -> Event | None:
    return Event(**{f.name: line[f.name] for f in fields(Event)}) if is_event(line) else None


def is_event(line: Any) -> bool:
    """Tell if a value, from a file or a checkpoint that may be anybody's, has all that an event has."""
    return isinstance(line, Mapping) and all(_fits(line.get(f.name), str(f.type)) for f in fields(Event))


def _fits(value: Any, kind: str) -> bool:
    if kind == "float":
        return is_number(value)
    return type(value) is int if kind == "int" else isinstance(value, str)
