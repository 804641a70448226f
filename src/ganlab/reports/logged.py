"""metrics.jsonl of a run: scalars by name, and the clock that turns kimg into seconds of training; and watch.jsonl."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganlab.core import json_lines, run_files
from ganlab.core.json_lines import is_number

LINES = 4000  # that are read, evenly spread
SPEED = "images_per_second"
_EVENT = "event"  # a line of the guard, see `ganlab.runs.guard.events`
_POSITION = ("iteration", "kimg")


@dataclass(frozen=True)
class Logged:
    """Scalars of a run.

    Args:
        iterations: Of each line.
        kimg: Of each line, in ascending order.
        seconds: Of training until each line, with saving and scoring in between; from the speed of each interval.
        scalars: (kimg, value) of finite values, by name.
        events: What the guard saw and did, and the quantity that showed it, in the order of the file.
    """

    iterations: Sequence[int] = ()
    kimg: Sequence[float] = ()
    seconds: Sequence[float] = ()
    scalars: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    events: Sequence[tuple[str, str]] = ()


def read(folder: Path) -> Logged:
    """Return what was logged; lines that cannot be read, go back in training, or are events of the
    guard, are passed over."""
    try:
        rows = [row for _, row in json_lines.read(folder / run_files.METRICS, LINES)]
    except OSError:
        return Logged()
    iterations: list[int] = []
    kimg: list[float] = []
    seconds: list[float] = []
    scalars: dict[str, list[tuple[float, float]]] = {}
    events: list[tuple[str, str]] = []
    at, now = 0.0, 0.0
    for row in rows:
        if not _has_kimg(row) or row["kimg"] < at:
            continue
        if _EVENT in row:
            events.append(_said(row))
            continue
        speed: Any = row.get(SPEED)
        iteration: Any = row.get("iteration")
        if is_number(speed) and speed > 0:
            now += 1000 * (row["kimg"] - at) / speed
        at = float(row["kimg"])
        iterations.append(int(iteration) if is_number(iteration) else 0)
        kimg.append(at)
        seconds.append(now)
        for name, value in row.items():
            if name not in _POSITION and is_number(value):
                scalars.setdefault(name, []).append((at, value))
    return Logged(iterations, kimg, seconds, scalars, events)


def _said(row: Mapping[str, Any]) -> tuple[str, str]:
    words = {name: str(row.get(name)) for name in ("noticed", "sign", "began", "sentence", "action", "iteration")}
    back = f" The run went on from iteration {words['iteration']}." if words["action"] == "rollback" else ""
    ended = " The run was ended." if words["action"] == "stop" else ""
    said = f"iteration {words['noticed']}, {words['sign']} since {words['began']}: {words['sentence']}{back}{ended}"
    return said, str(row.get("quantity"))


def measured(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Return (kimg, value), in ascending order, of what instruments measured on checkpoints afterwards, by name; of
    several measurements of a checkpoint the last one."""
    found: dict[str, dict[float, float]] = {}
    try:
        rows = [row for _, row in json_lines.read(folder / run_files.MEASURED, LINES)]
    except OSError:
        return {}
    for row in filter(_has_kimg, rows):
        for name, value in row.items():
            if "/" in name and is_number(value):
                found.setdefault(name, {})[float(row["kimg"])] = value
    return {name: sorted(points.items()) for name, points in found.items()}


def _has_kimg(row: Any) -> bool:
    return isinstance(row, dict) and is_number(row.get("kimg"))
