"""Searches: the curve of the best, and the options that matter."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from support import compared

from ganlab.comparisons import collected, studies
from ganlab.runs.sweeps.record import Job, Sweep

WORDS = ("hydra/sweeper=optuna", "loss.margin=interval(0,1)", "loss.scale=interval(0,1)", "sweep.objective=fid")


def search(folder: Path, objectives: list[float | None]) -> Path:
    """Make a search in which the objective is that of ``loss.margin`` alone."""
    jobs = []
    for number, objective in enumerate(objectives):
        name = f"{number}_margin"
        compared.run(folder / name, fid=objective, options={"loss": {"component": "hinge", "margin": number}})
        values = {"loss.margin": str(number), "loss.scale": str(number * 7 % 5)}
        jobs.append(asdict(Job(number, values, name, "failed" if objective is None else "done", objective)))
    compared.write_lines(folder / "sweep.jsonl", jobs)
    Sweep(folder, WORDS).write()
    return folder


def test_a_search_has_the_curve_of_the_best(tmp_path: Path) -> None:
    folder = search(tmp_path / "sweep", [9.0, 7.0, None, 8.0, 5.0])
    found = studies.study(folder, collected.runs([folder]))
    assert found is not None
    assert found.best == [9.0, 7.0, 7.0, 7.0, 5.0]
    assert (found.objective, found.better, found.keys) == ("fid", "lower", ["loss.margin", "loss.scale"])
    assert "The best of 5 trials has fid 5" in studies.said(found)
    assert "loss.margin=4" in studies.said(found)


def test_what_the_objective_depends_on_is_important(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    folder = search(tmp_path / "sweep", [20.0 - number for number in range(20)])
    found = studies.study(folder, collected.runs([folder]))
    assert found is not None
    assert found.importance["loss.margin"] > 2 * found.importance["loss.scale"]


def test_a_grid_is_no_search(tmp_path: Path) -> None:
    folder = compared.sweep(tmp_path / "sweep", {"none": [5.0]})
    assert studies.study(folder, collected.runs([folder])) is None
