"""examples/normalization: its sweeps compose, and its figure is drawn from what was logged."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path

from PIL import Image

from ganlab.config import compose
from ganlab.runs.sweeps import plan, words

FOLDER = Path(__file__).parents[2] / "examples/normalization"


def test_the_sweeps_have_a_job_for_each_way_to_bound_a_slope() -> None:
    lines = re.findall(r"^    ganlab train -m (.*)$", (FOLDER / "README.md").read_text().replace("\\\n", " "), re.M)
    found = []
    for line in lines:
        parsed = words.split(shlex.split(line))
        for job in plan.jobs(parsed):
            compose.read(parsed.of_job(job))
            found.append(tuple(job.values()))
    assert found == [("weight_clipping",), ("gradient_penalty",), ("kernel",), ("operator",)]


def test_the_figure_has_a_line_for_each_run(tmp_path: Path) -> None:
    names = [f"lipschitz/{quantity}" for quantity in ("real_max", "fake_max", "between_max", "sigma_product")]
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        rows = [{"iteration": i, "kimg": i / 10, **dict.fromkeys(names, 1.0 + i)} for i in (1, 2)]
        (tmp_path / run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    main = runpy.run_path(str(FOLDER / "figure.py"))["main"]
    main(str(tmp_path / "x.png"), str(tmp_path / "a"), str(tmp_path / "b"))
    colours = {colour for _, colour in Image.open(tmp_path / "x.png").convert("RGB").getcolors(10**6) or []}
    assert {(184, 134, 11), (42, 111, 187)} <= colours
