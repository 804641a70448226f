"""Runs that were not scored are scored first: under one protocol, each checkpoint once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.runs import Train

from ganlab.comparisons import compare
from ganlab.comparisons.groups import Wanted
from ganlab.core.errors import GanlabError
from ganlab.evaluation import scores


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``wanted()``: a protocol of the user's that needs no features, and a list of the lines that are said."""
    folder = tmp_path / "here/conf/protocol"
    folder.mkdir(parents=True)
    (folder / "quick.yaml").write_text(
        "{features: {component: classifier}, metrics: {spectrum: {}}, samples: 64, reference: test}\n"
    )
    monkeypatch.chdir(tmp_path / "here")
    said: list[str] = []
    return lambda: (Wanted(protocol="quick", device="cpu", say=said.append), said)


def hashes(folder: Path) -> list[str]:
    return [record["protocol_hash"] for record in scores.read(folder)]


def test_each_checkpoint_is_scored_once_and_a_killed_comparison_goes_on(train: Train, wanted: Any) -> None:
    folders = [train(f"seed={seed}", name=f"seed_{seed}") for seed in (0, 1)]
    options, said = wanted()
    answer = compare.compare(folders, wanted=options)
    assert answer.rows[0].scores["spectrum", "last"].n == 2
    assert said == [f"scoring seed_{n}, last checkpoint ({n + 1} of 2)" for n in (0, 1)]
    (folders[1] / "evaluation.jsonl").unlink()
    compare.compare(folders, wanted=options)
    compare.compare(folders, wanted=options)
    assert said[2:] == ["scoring seed_1, last checkpoint (1 of 1)"]
    assert [len(hashes(folder)) for folder in folders] == [1, 1]


def test_older_scores_of_another_protocol_are_taken_again(train: Train, wanted: Any) -> None:
    """The first run was scored by what is called the same, and had other weights of the extractor then, say."""
    folders = [train(f"seed={seed}", name=f"seed_{seed}") for seed in (0, 1)]
    options, said = wanted()
    compare.compare(folders[:1], wanted=options)
    old = json.loads((folders[0] / "evaluation.jsonl").read_text())
    (folders[0] / "evaluation.jsonl").write_text(json.dumps({**old, "protocol_hash": "old"}) + "\n")
    answer = compare.compare(folders, wanted=options)
    assert answer.rows[0].scores["spectrum", "last"].n == 2
    assert len(said) == 3
    assert hashes(folders[0])[1:] == hashes(folders[1])


def test_the_split_that_chose_checkpoints_does_not_report(train: Train, wanted: Any) -> None:
    """A search scores its runs on the validation split; a comparison scores them on the test split."""
    folder = train()
    options, said = wanted()
    compare.compare([folder], wanted=options)
    line = json.loads((folder / "evaluation.jsonl").read_text())
    line["protocol"]["reference"]["split"] = "validation"
    (folder / "evaluation.jsonl").write_text(json.dumps({**line, "protocol_hash": "of the search"}) + "\n")
    answer = compare.compare([folder], wanted=options)
    assert "test images" in answer.protocol
    assert len(said) == 2


def test_a_run_that_cannot_be_scored_is_left_out_and_said(train: Train, wanted: Any) -> None:
    folders = [train(f"seed={seed}", name=f"seed_{seed}") for seed in (0, 1)]
    for path in (folders[1] / "checkpoints").glob("*.ckpt"):
        path.write_bytes(b"torn")
    options, _ = wanted()
    answer = compare.compare(folders, wanted=options)
    assert answer.rows[0].seeds == [0]
    assert any(note.startswith("seed_1 could not be scored: No checkpoint") for note in answer.notes)
    with pytest.raises(GanlabError, match="No checkpoint in"):
        compare.compare(folders[1:], wanted=options)


def test_a_number_that_the_protocol_does_not_take_is_refused_before_a_run_is_scored(train: Train, wanted: Any) -> None:
    _, said = wanted()
    with pytest.raises(GanlabError, match=r"metric=fid: no run has this number, and protocol quick does not take it\."):
        compare.compare([train()], wanted=Wanted(["fid"], protocol="quick"))
    assert said == []


def test_the_options_of_scores_during_training_are_those_of_the_report(train: Train, wanted: Any) -> None:
    """But for the split: the validation images chose the best checkpoint."""
    wanted()
    folder = train("evaluate.protocol=quick", "evaluate.samples=32", name="chosen")
    compare.compare([folder], wanted=Wanted(device="cpu"))
    (record,) = scores.read(folder)
    protocol = record["protocol"]
    assert (protocol["name"], protocol["samples"], protocol["reference"]["split"]) == ("quick", 32, "test")
