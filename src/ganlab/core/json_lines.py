"""Files with a JSON value on each line, such as metrics.jsonl; torn lines of killed processes are passed over."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from ganlab.core import files

_MOST = 1e300  # a whole number in JSON may be larger than any float


def append(path: Path, value: Any) -> None:
    """Append a line, whole or not at all; numbers that are not finite become null.

    Raises:
        OSError: If it cannot be written, or ``path`` is a link.
    """
    files.append(path, (json.dumps(_finite(value), allow_nan=False) + "\n").encode())


def read(path: Path, most: int | None = None) -> Iterator[tuple[int, Any]]:
    """The number of each line, from 1 on, and its value.

    Args:
        most: Read at most so many lines, evenly spread, the last one among them; None: all.

    Raises:
        OSError: If the file cannot be read, or ``path`` is a link.
    """
    lines = files.read(path).splitlines()
    step = 1 if most is None else max(1, math.ceil(len(lines) / most))
    for at in range((len(lines) - 1) % step, len(lines), step):
        try:
            yield at + 1, json.loads(lines[at], parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            continue


def keep(path: Path, wanted: Callable[[Mapping[str, Any]], bool]) -> None:
    """Drop the mappings that are not wanted, and every line that is no mapping.

    Args:
        wanted: May raise KeyError or TypeError of a line that somebody has altered: it is dropped.

    Raises:
        OSError: If it cannot be written, or ``path`` is a link.
    """

    def is_wanted(line: bytes) -> bool:
        try:
            value = json.loads(line)
            return isinstance(value, dict) and wanted(value)
        except (ValueError, RecursionError, KeyError, TypeError):
            return False

    files.keep_lines(path, is_wanted)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def is_number(value: Any) -> TypeGuard[float]:
    """Tell if a value is a number that a float can hold, with room for arithmetic."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _MOST
