"""examples/stability: its sweeps compose, and its table is that of what the guard saw."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path

import pytest
from support.records import record

from ganlab.config import compose
from ganlab.evaluation import scores
from ganlab.runs.sweeps import plan, words

FOLDER = Path(__file__).parents[2] / "examples/stability"
LINES = re.findall(r"^    ganlab train -m (.*)$", (FOLDER / "README.md").read_text().replace("\\\n", " "), re.M)


def test_the_sweep_has_a_job_for_each_stabilizer_and_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    parsed = words.split(shlex.split(LINES[0]))
    jobs = plan.jobs(parsed)
    files = {file.stem for file in (FOLDER / "conf/experiment").glob("*.yaml")}
    assert len(jobs) == 3 * len(files)
    assert {job["experiment"] for job in jobs} == files
    for job in jobs[: len(files)]:
        compose.read(parsed.of_job(job))
    assert len(plan.jobs(words.split(shlex.split(LINES[1])))) == 12


def test_the_table_has_the_first_failure_and_the_best_score_before_it(tmp_path: Path) -> None:
    lines = []
    for number, (name, began) in enumerate((("none", 150), ("none", None), ("ortho", None))):
        folder = tmp_path / str(number)
        folder.mkdir()
        rows: list[dict[str, object]] = [
            {"iteration": i, "kimg": i / 100, "images_per_second": 10.0} for i in (100, 200)
        ]
        if began is not None:
            rows.append(
                {"iteration": 200, "kimg": 2.0, "event": 0, "sign": "collapse", "action": "stop", "began": began,
                 "noticed": 200, "quantity": "guard/images/diversity", "sentence": "."}
            )  # fmt: skip
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        for iteration, fid in ((100, 8.0), (200, 4.0)):
            scored = record(iteration, during_training=True)
            scored["values"]["fid"]["value"] = fid
            scores.append(folder, scored)
        lines.append({"folder": f"elsewhere/{number}", "values": {"experiment": f"stability_{name}", "seed": number}})
    (tmp_path / "sweep.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = runpy.run_path(str(FOLDER / "table.py"))["table"](tmp_path)
    assert table.splitlines()[2:] == ["| none | 1 of 2 | 150 | 6 | 10 |", "| ortho | 0 of 1 | >200 | 4 | 10 |"]
