"""evaluation.jsonl: a line for each evaluation, with its whole protocol. Lines of one protocol may be compared."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganlab.core import files, json_lines, run_files
from ganlab.core.errors import GanlabError, shortened
from ganlab.evaluation.protocol import first_difference
from ganlab.evaluation.records import problem

FILE = run_files.EVALUATION
Record = dict[str, Any]


def append(folder: Path, record: Record) -> None:
    """Append a record, whole or not at all.

    Raises:
        GanlabError: If it cannot be written.
    """
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        json_lines.append(path, record)
    except OSError as error:
        raise files.unwritable(path, error) from error


def read(folder: Path) -> list[Record]:
    """Return all whole lines; a torn one of a killed process is passed over.

    Raises:
        GanlabError: If the file cannot be read, or somebody has altered a line.
    """
    path = folder / FILE
    try:
        lines = list(json_lines.read(path))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise files.unreadable(path, error) from error
    records = []
    for number, record in lines:
        if isinstance(record, dict) and "protocol" in record and "values" in record:
            record.setdefault("figures", {})  # lines of version 0.1.0 have none
            if (wrong := problem(record)) is not None:
                raise GanlabError(f"{path}: line {number} is no evaluation: {wrong}. Remove the line, or correct it.")
            records.append(record)
    return records


def forget_after(folder: Path, iteration: int) -> None:
    """Drop what was measured during training after ``iteration``: a resumed run measures it again.

    Raises:
        GanlabError: If it cannot be written.
    """

    def earlier(record: Mapping[str, Any]) -> bool:
        return not (record.get("during_training") and record["subject"]["iteration"] > iteration)

    try:
        json_lines.keep(folder / FILE, earlier)
    except OSError as error:
        raise files.unwritable(folder / FILE, error) from error


def refuse_different(records: Sequence[Record], names: Sequence[str] = ()) -> None:
    """Refuse to compare scores of different protocols.

    Args:
        names: What the sentence calls each; empty: by their titles.

    Raises:
        GanlabError: With the first difference.
    """
    names = names or [title(record) for record in records]
    for record, name in zip(records[1:], names[1:], strict=True):
        found = first_difference(records[0]["protocol"], record["protocol"])
        if found is not None:
            key, a, b = found[0], *(shortened(json.dumps(value)) for value in found[1:])
            raise GanlabError(
                f"Scores of different protocols are not compared: {key} is {a} for {names[0]} and "
                f"{b} for {name}. Evaluate both with one protocol."
            )


def title(record: Mapping[str, Any]) -> str:
    """Return the subject of an evaluation in a few words."""
    subject = record["subject"]
    if subject["kind"] == "run":
        truncation = subject.get("truncation")
        return f"iteration {subject['iteration']}" + (f", truncation {truncation:g}" if truncation else "")
    return f"real images ({subject['split']})" if subject["kind"] == "real" else str(subject["path"])


def loss(value: Mapping[str, Any]) -> float:
    """Return a number that is smallest for the best value; infinite without a number or an order."""
    number, real = value["value"], value["real"]
    if number is None or not math.isfinite(number):
        return math.inf
    found = {"lower": number, "higher": -number, "real": math.inf if real is None else abs(number - real)}
    return float(found.get(value["better"], math.inf))
