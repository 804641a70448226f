"""A run in Python: options as keywords, scored, continued, shown, and its files as tables."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

import ganlab
from ganlab.config import command_line


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ganlab.Run:
    return ganlab.train(
        model="dcgan",
        generator={"width": 4},
        discriminator={"width": 4},
        reg={"r1": {"gamma": 2.0}},
        data={"batch_size": 16},
        trainer={"max_steps": 2, "log_every_n_steps": 1},
        run={"dir": str(tmp_path_factory.mktemp("runs") / "run")},
    )


def test_options_are_keywords(run: ganlab.Run) -> None:
    assert run.config["reg.r1"].options["gamma"] == 2.0
    assert run.config.data.batch_size == 16
    assert run.iteration == 2


def test_keywords_are_words_of_the_command_line() -> None:
    words = command_line.words(
        {
            "loss": {"hinge": {"margin": 2}},
            "reg": ["sn", "r1"],
            "optimizer": {"generator": "adamw", "discriminator": {"lr": {"from": 1e-3, "to": 0.0}}},
            "data": {"folder": {"path": "a=[b]"}},
            "seed": 3,
            "compile": True,
        }
    )
    assert words == [
        "loss=hinge", "loss.margin=2", "reg=[sn,r1]", "optimizer/generator=adamw",
        "optimizer.discriminator.lr={from:0.001,to:0.0}", "data=folder", 'data.path="a=[b]"', "seed=3", "compile=true",
    ]  # fmt: skip
    assert [o.get_key_element() for o in command_line.parse(words)][-1] == "compile"


def test_a_run_is_scored_continued_and_its_files_are_tables(run: ganlab.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)  # which other packages bring
    found = run.evaluate(metrics=["spectrum"], samples=20)
    rows = run.scores
    assert {row["metric"]: row["value"] for row in rows} == pytest.approx(found)
    assert {"low", "high", "protocol", "iteration"} <= set(rows[0])
    before = len(run.metrics)
    assert run.resume(trainer={"max_steps": 3}).iteration == 3
    assert len(run.metrics) == before + 1


def test_tables_are_data_frames_where_pandas_is(run: ganlab.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=tuple, __spec__=object()))
    frame: Any = run.metrics
    assert isinstance(frame, tuple)
    assert len(frame) >= 2


def test_a_run_shows_itself(run: ganlab.Run, tmp_path: Path) -> None:
    assert "generator=dcgan discriminator=dcgan loss=hinge data=digits reg=r1" in repr(run)
    assert '<img alt="samples" src="data:image/png;base64,' in run._repr_html_()
    assert run.grid(4, columns=2).size[0] < run.grid(4, columns=4).size[0]
    with Image.open(run.save(tmp_path / "grid.png", 8)) as picture:
        assert picture.size == run.grid(8).size
    with pytest.raises(ganlab.GanlabError, match="cannot be written as a picture"):
        run.save(tmp_path / "grid.nothing")
    with pytest.raises(ganlab.GanlabError, match="columns must be a whole number"):
        run.grid(4, columns=0)


WRONG: dict[str, tuple[Callable[[ganlab.Run], Any], str]] = {
    "no device": (lambda run: run.evaluate(device="cuda:99"), "There is no device=cuda:99 here"),
    "no metric": (lambda run: run.evaluate(metrics=[None]), "No metric of an evaluation is called 'None'"),
    "no option": (
        lambda run: run.resume(trainer={"max_steps": {1, 2}}),
        r"trainer.max_steps must be a number, .* got {1",
    ),
    "no count": (lambda run: run.grid(2.5), "count must be a whole number of at least 1, got 2.5"),  # type: ignore
    "no path": (lambda run: run.save(3), "A picture is named by its path, and 3 is none"),  # type: ignore
    "no folder": (lambda run: ganlab.load(3), "A run folder is named by its path, and 3 is none"),  # type: ignore
    "no code": (lambda run: ganlab.load(run.folder, code=3), "A file of one's own is named by its path"),  # type: ignore
    "no words": (lambda run: ganlab.train(3), "Options are a list of words"),  # type: ignore
    "a part": (lambda run: ganlab.train(loss=object()), "loss must be a number, a word, or a list"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_in_python_is_answered_in_one_sentence(run: ganlab.Run, mistake: str) -> None:
    act, words = WRONG[mistake]
    with pytest.raises(ganlab.GanlabError, match=words):
        act(run)
