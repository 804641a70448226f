"""``ganlab compare``: the table in the terminal, its files, and the end of a sweep."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from support import compared

from ganlab import cli
from ganlab.commands import compare
from ganlab.core.errors import GanlabError

SCORES = {"none": [10.0, 12.0, 14.0], "sn": [8.1, 9.9, 12.2]}


def test_a_sweep_is_compared_in_its_own_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = compared.sweep(tmp_path / "sweep", SCORES)
    assert cli.dispatch(["compare", str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].split()[:2] == ["reg=sn", "10.1"]
    assert "reg=sn has the lowest FID of the last checkpoint" in out
    with (folder / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["configuration"] for row in rows] == ["reg=sn", "reg=none"]
    assert float(rows[1]["fid_last"]) == 12
    assert rows[0]["reg"] == "sn"
    assert rows[0]["runs"] == rows[0]["fid_last_n"] == "3"
    assert "| reg=sn | 10" in (folder / "table.md").read_text()


def test_bare_runs_are_compared_in_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = [str(compared.run(tmp_path / name, 5.0, reg=[name])) for name in ("sn", "ortho")]
    assert cli.dispatch(["compare", *words, "by=reg", "metric=fid"]) == 0
    assert cli.dispatch(["compare", *words, "out=elsewhere"]) == 0
    for name in ("comparison", "elsewhere"):
        assert len((tmp_path / name / "table.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "takes a sweep's folder, or run folders"),
        (["nowhere"], "There is no folder"),
        (["nowhere", "at=50"], "at=50 must be kimg:N"),
        (["nowhere", "at=kimg:-1"], "at=kimg:-1 must be kimg:N"),
        (["nowhere", "metrics=fid"], "has no option 'metrics'. Did you mean 'metric'"),
    ],
)
def test_a_wrong_word_is_one_sentence(words: list[str], message: str) -> None:
    with pytest.raises(GanlabError) as error:
        cli.dispatch(["compare", *words])
    assert message in str(error.value)


def test_the_end_of_a_sweep_says_why_its_runs_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = compared.sweep(tmp_path / "sweep", SCORES)
    compare.at_the_end(folder)
    assert (folder / "table.csv").exists()
    (folder / "0_reg-none_seed-0/evaluation.jsonl").write_text('{"protocol": 5, "values": 5}\n')
    compare.at_the_end(folder)
    assert "The runs are not compared: " in capsys.readouterr().err
