"""Searches: the curve of the best, and the options that matter."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from support import compared

from ganlab.comparisons import collected, compare, report, studies, tables
from ganlab.comparisons.answer import Study
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


def found(folder: Path) -> Study:
    words, runs = studies.search(folder), collected.runs([folder])
    assert words is not None
    studies.name_trials(runs)
    study = studies.study(words, runs)
    assert study is not None
    return study


def test_a_search_has_the_curve_of_the_best(tmp_path: Path) -> None:
    study = found(search(tmp_path / "sweep", [9.0, 7.0, None, 8.0, 5.0]))
    assert study.best == [9.0, 7.0, 7.0, 7.0, 5.0]
    assert (study.objective, study.better, study.keys) == ("fid", "lower", ["loss.margin", "loss.scale"])
    assert studies.best_trial(study).name == "trial 4"


def test_the_answer_to_a_search_is_its_best_trial(tmp_path: Path) -> None:
    """Trials are called by their jobs' numbers; those that the search ended early are no rows."""
    folder = search(tmp_path / "sweep", [9.0, 7.0, None, 8.0, 5.0])
    lines = (folder / "sweep.jsonl").read_text().splitlines()
    lines[3] = lines[3].replace('"done"', '"pruned"')
    (folder / "sweep.jsonl").write_text("\n".join(lines) + "\n")
    answer = compare.compare([folder])
    assert answer.headline[:2] == ["Trial 4 has the best FID of 5 trials: 5.", "loss.margin=4, loss.scale=3."]
    assert answer.headline[3].endswith("its FID is 5, which is the best there too.")
    assert [row.name for row in answer.rows] == ["trial 4", "trial 1", "trial 0", "trial 2"]
    assert "Ended early by the search, and left out: trial 3." in answer.notes
    head, first = tables.terminal(answer).splitlines()[:2]
    assert head.split()[:4] == ["margin", "scale", "fid", "last"]
    assert first.split()[:5] == ["trial", "4", "4", "3", "5"]


def test_an_axis_is_logarithmic_where_it_was_searched_so(tmp_path: Path) -> None:
    folder = search(tmp_path / "sweep", [9.0, 7.0])
    assert found(folder).logarithmic == []
    Sweep(folder, (*WORDS[:2], "loss.scale=tag(log,interval(1,4))", WORDS[3])).write()
    assert found(folder).logarithmic == ["loss.scale"]


def test_what_the_objective_depends_on_is_important(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    study = found(search(tmp_path / "sweep", [20.0 - number for number in range(20)]))
    assert study.importance["loss.margin"] > 2 * study.importance["loss.scale"]


def test_a_search_has_figures_for_a_paper(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    folder = search(tmp_path / "sweep", [9.0, 7.0, 8.0, 5.0, 6.0])
    report.write(compare.compare([folder]), tmp_path)
    texts = {path.stem: path.read_text() for path in (tmp_path / "figures").glob("*.svg")}
    assert {"best_so_far", "importance", "trials"} <= texts.keys()
    assert "loss.margin" in texts["importance"]
    assert all(word in texts["trials"] for word in (">margin<", ">scale<", ">fid<"))
    assert all((tmp_path / f"figures/{name}.pdf").stat().st_size > 1000 for name in texts)


def test_a_grid_is_no_search(tmp_path: Path) -> None:
    assert studies.search(compared.sweep(tmp_path / "sweep", {"none": [5.0]})) is None
