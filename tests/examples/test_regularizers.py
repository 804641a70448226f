"""examples/regularizers: the two sweeps that it shows compose, job by job."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ganlab.config import compose
from ganlab.runs.sweeps import plan, words

README = Path(__file__).parents[2] / "examples/regularizers/README.md"
LINES = re.findall(r"^    ganlab train -m (.*)$", README.read_text().replace("\\\n", " "), re.MULTILINE)


@pytest.mark.parametrize(("line", "regularizers", "seeds"), list(zip(LINES, (7, 3), (5, 3), strict=True)))
def test_a_sweep_has_a_job_for_each_regularizer_and_seed(line: str, regularizers: int, seeds: int) -> None:
    parsed = words.split(shlex.split(line))
    jobs = plan.jobs(parsed)
    assert len(jobs) == regularizers * seeds
    assert len({job["reg"] for job in jobs}) == regularizers
    for job in jobs[::seeds]:
        compose.read(parsed.of_job(job))
