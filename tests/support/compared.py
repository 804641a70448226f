"""Run folders, made up, for tests of comparisons: a configuration, losses and scores, and no networks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from ganlab.runs.sweeps.record import Job
from support.records import record, value

STEPS = 1000
KIMG = 0.064  # of an iteration


def run(
    folder: Path,
    fid: float | None = None,
    best: float | None = None,
    seed: int = 0,
    reg: Sequence[str] = (),
    during: Mapping[int, float] | None = None,
    iterations: int = STEPS,
    options: Mapping[str, Any] | None = None,
    protocol: str = "digits",
    **values: Mapping[str, Any],
) -> Path:
    """Make the folder of a run.

    Args:
        fid: Of the last checkpoint; None: it was not scored.
        best: Of the best checkpoint, which is that of the lowest score of ``during``.
        during: Scores during training by iteration.
        iterations: That it has reached, of 1,000.
        options: More of config.yaml, by its first key.
        values: More numbers of the last checkpoint, by name.
    """
    config = {
        "seed": seed,
        "run": {"dir": str(folder), "max_kimg": None},
        "data": {"component": "digits", "image_size": 8, "num_classes": 10, "held_out": 0.25},
        "evaluate": {"every_kimg": None, "metrics": ["fid"]},
        "trainer": {"max_steps": STEPS},
        "loss": {"component": "hinge", "margin": 1.0},
        "reg": {name: {"component": name, "weight": 1.0} for name in reg},
        **(options or {}),
    }
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    lines = [
        {"iteration": i, "kimg": round(i * KIMG, 3), "generator/adversarial": 1.0 / i, "images_per_second": 320.0}
        for i in range(50, iterations + 1, 50)
    ]
    write_lines(folder / "metrics.jsonl", lines)
    records = []
    for iteration, found in (during or {}).items():
        chosen = found == min(found for at, found in (during or {}).items() if at <= iteration)
        split = {"reference": {"split": "validation", "count": 300}}
        of_training = record(iteration, protocol=f"{protocol} in training", during_training=True, selected_on=chosen)
        records.append({**of_training, "protocol": of_training["protocol"] | split, "values": {"fid": value(found)}})
    if during is not None:
        (folder / "checkpoints/best.ckpt").touch()
        chosen_at = [r["subject"]["iteration"] for r in records if r["selected_on"]][-1]
        if best is not None:
            records.append({**record(chosen_at, protocol=protocol), "values": {"fid": value(best)}})
    if fid is not None:
        records.append({**record(iterations, protocol=protocol), "values": {"fid": value(fid), **values}})
    write_lines(folder / "evaluation.jsonl", records)
    return folder


def sweep(folder: Path, scores: Mapping[str, Sequence[float]], **options: Any) -> Path:
    """Make the folder of a sweep over ``reg`` and ``seed``, with the FID of each run."""
    jobs: list[dict[str, Any]] = []
    for name, found in scores.items():
        for seed, fid in enumerate(found):
            of = f"{len(jobs)}_reg-{name}_seed-{seed}"
            run(folder / of, fid, seed=seed, reg=[] if name == "none" else [name], **options)
            jobs.append(asdict(Job(len(jobs), {"reg": name, "seed": str(seed)}, of, "done")))
    write_lines(folder / "sweep.jsonl", jobs)
    return folder


def write_lines(path: Path, lines: Sequence[Any]) -> None:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
