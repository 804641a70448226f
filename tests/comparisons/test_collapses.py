"""Runs that ended in a collapse are compared at their last checkpoint from before, and it is said."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from support import compared
from support.records import record, value

from ganlab.comparisons import bands, compare, tables
from ganlab.comparisons.groups import Wanted
from ganlab.core.errors import GanlabError
from ganlab.runs import checkpoints
from ganlab.runs.guard.events import Event

SENTENCE = "The run has diverged: weights are NaN or infinite at iteration 640. Checkpoints hold finite numbers only."


@pytest.fixture(autouse=True)
def of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoints of made-up runs hold their iteration alone."""
    monkeypatch.setattr("ganlab.runs.checkpoint_check.is_ours", lambda found: True)


def collapse(folder: Path, kept: int | None = 600, fid: float = 30.0) -> None:
    """Let a made-up run of 640 iterations have a last checkpoint of iteration ``kept``, with a score."""
    if kept is not None:
        torch.save({"ganlab": {"progress": {"iteration": kept}}}, folder / "checkpoints/last.ckpt")
        line = {**record(kept), "values": {"fid": value(fid)}}
        with (folder / "evaluation.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


def sweep(folder: Path, ends: dict[int, int | None], seeds: int = 3) -> Path:
    """Make a sweep of ``none`` and ``sn``; the jobs in ``ends`` collapse, and keep that checkpoint."""
    compared.sweep(folder, {"none": [10.0, 12.0, 14.0][:seeds], "sn": [8.0, 9.0, 10.0][:seeds]})
    jobs = [json.loads(line) for line in (folder / "sweep.jsonl").read_text().splitlines()]
    for job in jobs:
        if job["number"] in ends:
            job |= {"state": "failed", "error": SENTENCE}
            (folder / job["folder"] / "evaluation.jsonl").unlink()
            collapse(folder / job["folder"], ends[job["number"]])
    compared.write_lines(folder / "sweep.jsonl", jobs)
    return folder


def test_a_run_that_collapsed_is_compared_at_its_last_checkpoint(tmp_path: Path) -> None:
    answer = compare.compare([sweep(tmp_path / "sweep", {1: 600})])
    row = answer.rows[1]
    assert (row.name, row.seeds, row.failures) == ("reg=none", [0, 1, 2], [])
    assert row.scores["fid", "last"].mean == pytest.approx((10 + 30 + 14) / 3)
    assert row.collapses == ("1 of 3 runs collapsed: seed 1 at iteration 640 (compared at 600, before it).")
    text = tables.terminal(answer)
    assert "1 of 3 at 640" in text
    assert row.collapses in text
    assert row.collapses in tables.markdown(answer)
    line = next(line for line in csv.DictReader(io.StringIO(tables.comma_separated(answer))) if line["reg"] == "none")
    assert [line[name] for name in ("failed", "collapsed", "iterations_to_collapse")] == ["0", "1", "640.0"]


def test_a_run_that_kept_no_checkpoint_before_it_is_counted_and_not_compared(tmp_path: Path) -> None:
    row = compare.compare([sweep(tmp_path / "sweep", {1: None})]).rows[1]
    assert (row.seeds, row.scores["fid", "last"].n) == ([0, 2], 2)
    assert "at iteration 640 (it kept no checkpoint from before)" in row.collapses
    with pytest.raises(GanlabError, match=r"2 of 2 runs collapsed: .* kept no checkpoint"):
        compare.compare([sweep(tmp_path / "all", {0: None, 1: None}, seeds=1)])


def test_a_best_score_behind_the_sign_is_not_said_to_be_before_it(tmp_path: Path) -> None:
    row = compare.compare([sweep(tmp_path / "sweep", {1: 660})]).rows[1]
    assert "seed 1 at iteration 640 (compared at 660, after it)" in row.collapses


def test_a_sweep_of_which_every_run_collapsed_has_an_answer(tmp_path: Path) -> None:
    answer = compare.compare([sweep(tmp_path / "sweep", {0: 600, 1: 400}, seeds=1)])
    assert [row.scores["fid", "last"].mean for row in answer.rows] == [30.0, 30.0]


def test_losses_that_are_not_finite_are_a_collapse(tmp_path: Path) -> None:
    compared.run(tmp_path / "good", 5.0)
    bad = compared.run(tmp_path / "bad", reg=["sn"], iterations=100)
    with (bad / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 120, "kimg": 7.68, "generator/adversarial": null}\n')
    collapse(bad, 100)
    answer = compare.compare([tmp_path])
    assert [row.collapses for row in answer.rows] == [
        "", "1 of 1 run collapsed: seed 0 at iteration 120 (compared at 100, before it).",
    ]  # fmt: skip


def test_a_collapse_does_not_shorten_the_comparison_of_other_runs(tmp_path: Path) -> None:
    """With at=kimg: the others are compared there, and the run that collapsed at its last scores before."""
    compared.run(tmp_path / "long", during={250: 9.0, 500: 8.0, 750: 7.0})
    short = compared.run(tmp_path / "short", during={250: 9.5}, reg=["sn"], iterations=300)
    with (short / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 310, "kimg": 19.84, "generator/adversarial": null}\n')
    torch.save({"ganlab": {"progress": {"iteration": 250}}}, short / "checkpoints/last.ckpt")
    answer = compare.compare([tmp_path], wanted=Wanted(kimg=48))
    assert {row.name: row.scores["fid", "48 kimg"].mean for row in answer.rows} == {"reg=none": 7.0, "reg=sn": 9.5}
    assert "(compared at 250, before it)" in answer.rows[1].collapses


def test_curves_are_of_the_runs_that_did_not_collapse(tmp_path: Path) -> None:
    answer = compare.compare([sweep(tmp_path / "sweep", {1: 600})])
    assert [run.name for run in bands.running(answer.rows[1])] == ["0_reg-none_seed-0", "2_reg-none_seed-2"]


def test_a_damaged_last_checkpoint_is_passed_over(tmp_path: Path) -> None:
    folder = sweep(tmp_path / "sweep", {1: 600})
    run = folder / "1_reg-none_seed-1"
    (run / "checkpoints" / checkpoints.LAST).rename(run / "checkpoints/step_000000600.ckpt")
    (run / "checkpoints" / checkpoints.LAST).write_bytes(b"torn")
    assert compare.compare([folder]).rows[1].scores["fid", "last"].n == 3


def event(number: int, sign: str, action: str, began: int, noticed: int) -> dict[str, Any]:
    return asdict(Event(noticed, noticed * 0.064, number, sign, action, began, noticed, "guard/x", "Evidence."))


def test_what_the_guard_saw_is_an_alarm_or_a_collapse(tmp_path: Path) -> None:
    """A run that it stopped has collapsed since the sign began; one that it warned of went on to its end."""
    folder = compared.sweep(tmp_path / "sweep", {"none": [10.0, 12.0], "sn": [8.0, 9.0]}, iterations=900)
    runs = sorted(path for path in folder.iterdir() if path.is_dir())
    seen = {
        0: [event(0, "won", "warn", 300, 350), event(1, "collapse", "warn", 400, 450)],
        1: [event(0, "jump", "rollback", 200, 250), event(1, "collapse", "stop", 600, 900)],
    }
    for number, lines in seen.items():
        with (runs[number] / "metrics.jsonl").open("a") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in lines)
    jobs = [json.loads(line) for line in (folder / "sweep.jsonl").read_text().splitlines()]
    jobs[1] |= {"state": "failed", "error": "The guard has ended the run after iteration 900."}
    compared.write_lines(folder / "sweep.jsonl", jobs)
    (runs[1] / "evaluation.jsonl").unlink()
    collapse(runs[1], 550)
    row = compare.compare([folder]).rows[1]
    assert (row.name, row.failures, row.scores["fid", "last"].n) == ("reg=none", [], 2)
    assert not any({"began", "noticed", "event"} & run.curves.keys() for run in row.runs)
    assert row.collapses == (
        "2 of 2 runs collapsed: seed 0 at iteration 400, seed 1 at iteration 600 (compared at 550, before it)."
    )
    assert row.alarms == [
        "The guard saw won: 0_reg-none_seed-0 since iteration 300.",
        "The guard saw jump: 1_reg-none_seed-1 since iteration 200, and it went back.",
    ]
