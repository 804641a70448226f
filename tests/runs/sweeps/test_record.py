"""The record of a sweep: whole lines, names below the folder, nobody else's links or files."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from ganlab.core.errors import GanlabError
from ganlab.runs.sweeps import record
from ganlab.runs.sweeps.record import Sweep


def a_sweep(folder: Path, *words: str) -> Sweep:
    folder.mkdir(exist_ok=True)
    found = Sweep(folder, words or ("seed=0,1", "loss=hinge"))
    found.write()
    return found


def test_a_sweep_is_read_as_it_was_written(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path, "data.path=/zoë/a[1]", "seed=${x}", "lr=1e-4,2e-4", "no", "1")
    assert Sweep.read(tmp_path) == sweep


def test_jobs_are_added_once_and_changed_by_their_number(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path)
    sweep.add([(0, {"seed": "0"}), (1, {"seed": "1"})])
    sweep.begins(1)
    sweep.ends(1, record.DONE, 2.5)
    sweep.add([(0, {"seed": "0"}), (1, {"seed": "1"}), (2, {"seed": "2"})])
    assert [(job.number, job.state, job.objective) for job in sweep.jobs()] == [
        (0, "queued", None), (1, "done", 2.5), (2, "queued", None),
    ]  # fmt: skip
    assert sweep.job(1).ended is not None
    with pytest.raises(GanlabError, match=r"Job 1 of .* is seed=1, and not seed=3"):
        sweep.add([(1, {"seed": "3"})])
    with pytest.raises(GanlabError, match="has no job 7"):
        sweep.update(7, state="done")


def test_many_threads_lose_no_change(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path)
    sweep.add([(number, {"seed": str(number)}) for number in range(8)])
    threads = [threading.Thread(target=sweep.ends, args=(number, record.DONE)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [job.state for job in sweep.jobs()] == ["done"] * 8


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"reg": "[sn,ortho]", "seed": "0"}, "3_reg-sn,ortho_seed-0"),
        ({"data.path": "../../etc/a b"}, "3_data.path-..-..-etc-a-b"),
        ({"optimizer/generator": "adam"}, "3_optimizer-generator-adam"),
        ({"loss": "zoë"}, "3_loss-zoë"),
        ({}, "3"),
        ({"x": "é" * 300}, "3_x-" + "é" * 73),
    ],
)
def test_the_folder_of_a_job_has_a_plain_name(tmp_path: Path, values: dict[str, str], name: str) -> None:
    (job,) = a_sweep(tmp_path).add([(3, values)])
    assert job.folder == name
    assert Sweep.read(tmp_path).jobs() == [job]


LINE = {"number": 0, "values": {"seed": "0"}, "folder": "0_seed-0"}
ALTERED = [
    {"folder": "../elsewhere"}, {"folder": "0_/../../x"}, {"folder": "1_seed-0"}, {"folder": 3}, {"state": "finished"},
    {"number": True}, {"number": -1}, {"values": ["seed"]}, {"values": {"seed": 0}}, {"objective": "1"}, {"error": 5},
    {"more": 1}, {"started": 7},
]  # fmt: skip


@pytest.mark.parametrize("change", ALTERED, ids=str)
def test_an_altered_line_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    sweep = a_sweep(tmp_path)
    (tmp_path / record.JOBS).write_text(json.dumps({**LINE, **change}) + "\n")
    with pytest.raises(GanlabError, match=r"sweep\.jsonl: line 1 is no job of a sweep"):
        sweep.jobs()


@pytest.mark.parametrize(
    "text",
    ["", "words: seed=0", "words: [1]", "words: [a]\nthreads: 0", "word: []", "[", "words: !!python/name:os.system"],
)
def test_a_half_written_or_foreign_description_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / record.SWEEP).write_text(text)
    with pytest.raises(GanlabError, match=r"sweep\.yaml is no description of a sweep"):
        Sweep.read(tmp_path)


def test_links_in_a_sweep_are_refused(tmp_path: Path) -> None:
    a_sweep(tmp_path / "sweep")
    (tmp_path / "sweep" / "0_seed-0").symlink_to(tmp_path)
    with pytest.raises(GanlabError, match="is a link"):
        record.existing(tmp_path / "sweep")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("sweep.yaml", "holds a sweep already: continue it"),
        ("config.yaml", "holds a run already"),
        ("x", "holds other"),
    ],
)
def test_a_folder_that_holds_something_is_no_place_for_a_sweep(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(GanlabError, match=sentence), record.claimed(tmp_path):
        pass
    with pytest.raises(GanlabError, match="is a file"), record.claimed(tmp_path / name):
        pass


def test_two_processes_do_not_run_one_sweep(tmp_path: Path) -> None:
    again = pytest.raises(GanlabError, match="Another process runs the sweep")
    with record.claimed(tmp_path / "s"), again, record.claimed(tmp_path / "s"):
        pass
    assert list((tmp_path / "s").iterdir()) == []
