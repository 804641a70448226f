"""evaluation.jsonl: a line an evaluation, with the whole protocol; and which of them may be compared."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganlab.core.errors import GanlabError
from ganlab.evaluation.protocol import first_difference

FILE = "evaluation.jsonl"
Record = dict[str, Any]


def append(folder: Path, record: Record) -> None:
    """Add a line, whole or not at all; after a torn one of a process that was killed, it begins anew.

    Raises:
        GanlabError: If it cannot be written.
    """
    line = (json.dumps(_plain(record), allow_nan=False) + "\n").encode()
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("ab+", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            if before:
                file.seek(before - 1)
                line = line if file.read(1) == b"\n" else b"\n" + line
            try:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                file.truncate(before)
                raise
    except OSError as error:
        raise GanlabError(f"{path} cannot be written: {error.strerror or error}.") from error


def read(folder: Path) -> list[Record]:
    """All whole lines; a torn last one of a killed process is passed over."""
    path = folder / FILE
    if not path.is_file():
        return []
    records = []
    for line in path.read_bytes().splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "protocol" in record and "values" in record:
            records.append(record)
    return records


def forget_after(folder: Path, iteration: int) -> None:
    """Drop what was measured during training after ``iteration``: a resumed run measures it again.

    Raises:
        GanlabError: If it cannot be written.
    """
    path = folder / FILE
    if not path.is_file():
        return
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            record = json.loads(line)
            later = record.get("during_training") and record["subject"]["iteration"] > iteration
        except (ValueError, KeyError, TypeError):
            later = True  # torn
        if not later:
            kept.append(line.rstrip(b"\n") + b"\n")
    temporary = path.with_name(f".{FILE}.part")
    try:
        temporary.write_bytes(b"".join(kept))
        os.replace(temporary, path)
    except OSError as error:
        raise GanlabError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def refuse_different(records: Sequence[Record], names: Sequence[str] = ()) -> None:
    """Scores of different protocols are not compared.

    Args:
        names: What the sentence calls each; empty: by their titles.

    Raises:
        GanlabError: With the first difference.
    """
    names = names or [title(record) for record in records]
    for record, name in zip(records[1:], names[1:], strict=True):
        found = first_difference(records[0]["protocol"], record["protocol"])
        if found is not None:
            key, a, b = found
            raise GanlabError(
                f"Scores of different protocols are not compared: {key} is {_short(a)} for {names[0]} and "
                f"{_short(b)} for {name}. Evaluate both with one protocol."
            )


def title(record: Mapping[str, Any]) -> str:
    """What was evaluated, in a few words."""
    subject = record["subject"]
    if subject["kind"] == "run":
        truncation = subject.get("truncation")
        return f"iteration {subject['iteration']}" + (f", truncation {truncation:g}" if truncation else "")
    return f"real images ({subject['split']})" if subject["kind"] == "real" else str(subject["path"])


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
