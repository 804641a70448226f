"""Print a sweep of BigGAN's stabilizers: when the guard saw a failure, and the best score before it.

    python examples/stability/table.py SWEEP

A row is an experiment, in the order of the jobs, over its seeds: how many runs the guard ended, the mean iteration at
which the failure began (``>N``: none in N iterations), the mean of the best FIDs before it, on validation images, and
the mean speed, which counts only on a machine that did nothing else.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlab.core import json_lines, run_files
from ganlab.evaluation import scores
from ganlab.reports import logged
from ganlab.runs.guard.events import events

HEAD = ("", "ended", "iteration", "best FID", "images/s")


@dataclass(frozen=True)
class Job:
    """A run of the sweep: its last iteration, that of the first failure, its best score before, and its speed."""

    last: int
    began: int | None
    best: float | None
    speed: float | None


def main(sweep: str) -> None:
    print(table(Path(sweep)))


def table(sweep: Path) -> str:
    """Return the table as Markdown."""
    rows: dict[str, list[Job]] = {}
    for name, folder in jobs(sweep):
        rows.setdefault(name.removeprefix("stability_"), []).append(job(folder))
    cells = [HEAD, ("---", *["---:"] * (len(HEAD) - 1)), *(_row(name, found) for name, found in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def jobs(sweep: Path) -> Iterator[tuple[str, Path]]:
    """Yield the experiment and the folder of each job that has trained."""
    for _, line in json_lines.read(sweep / "sweep.jsonl"):
        folder = sweep / Path(line["folder"]).name
        if (folder / run_files.METRICS).is_file():
            yield line["values"]["experiment"], folder


def job(folder: Path) -> Job:
    """Return what became of a run."""
    began = min((event.began for event in events(folder)), default=None)
    found = [_fid(record) for record in scores.read(folder) if began is None or _iteration(record) < began]
    log = logged.read(folder)
    speeds = [speed for _, speed in log.scalars.get(logged.SPEED, ())]
    return Job(log.iterations[-1], began, min(found, default=None), statistics.median(speeds) if speeds else None)


def _fid(record: dict[str, Any]) -> float:
    return float(record["values"]["fid"]["value"])


def _iteration(record: dict[str, Any]) -> int:
    return int(record["subject"]["iteration"])


def _row(name: str, found: Sequence[Job]) -> tuple[str, ...]:
    began = [each.began for each in found if each.began is not None]
    iteration = f"{statistics.mean(began):.0f}" if began else f">{max(each.last for each in found)}"
    means = [_mean([getattr(each, field) for each in found]) for field in ("best", "speed")]
    return name, f"{len(began)} of {len(found)}", iteration, *means


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.mean(known):.4g}" if known else "-"


if __name__ == "__main__":
    main(sys.argv[1])
