"""The Python door: ganlab.train and ganlab.load."""

from pathlib import Path

import pytest
import torch
from support.runs import TINY

import ganlab
from ganlab import cli
from ganlab.runs.checkpoints import load
from ganlab.runs.run import Run


def test_a_run_loads_the_weights_of_its_newest_checkpoint(finished: Path) -> None:
    run = ganlab.load(finished)
    stored = load(finished / "checkpoints/last.ckpt")["state_dict"]
    for name, tensor in run.module.state_dict().items():
        assert torch.equal(tensor, stored[name]), name
    assert run.messages == []


def test_loading_a_run_needs_none_of_its_data(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganlab.data import digits

    monkeypatch.setattr(digits.Digits, "__init__", lambda self: pytest.fail("the data was opened"))
    assert Run(finished).sample(1).shape == (1, 1, 8, 8)


def test_loading_and_sampling_write_nothing(copied: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}
    Run(copied).sample(2)
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == before


def test_a_path_may_be_a_string_with_a_home_or_relative(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.parent)
    monkeypatch.setenv("HOME", str(finished.parent))
    assert ganlab.load("run").folder == ganlab.load("~/run").folder == finished


def test_training_from_python_raises_instead_of_printing(tmp_path: Path) -> None:
    with pytest.raises(ganlab.GanlabError, match="seed must be at least 0"):
        ganlab.train([*TINY, "seed=-1", f"run.dir={tmp_path / 'run'}"])


def test_a_run_that_goes_on_can_be_loaded_meanwhile(finished: Path) -> None:
    """Nothing that reads takes the lock of the one that trains."""
    from ganlab.runs import run_folder

    with run_folder.claimed(finished, again=True):
        assert ganlab.load(finished).sample(1).shape[0] == 1


def test_one_string_of_words_is_split_as_a_shell_does() -> None:
    with pytest.raises(ganlab.GanlabError, match=r"No regularizer is called 'b c'"):
        ganlab.train("seed=1 reg='[sn,b c]'")
    with pytest.raises(ganlab.GanlabError, match=r"a quote in it is not closed"):
        ganlab.train("loss=hinge reg='[sn")


def test_more_images_than_memory_holds_are_refused_before_the_first(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ganlab.GanlabError, match=r"1000000000000 images need .* of memory, and this machine has"):
        ganlab.load(finished).sample(10**12)
    for options in (["count=1000000000000"], ["columns=1000000000000"], ["kind=interpolation", "steps=1000000000000"]):
        with pytest.raises(ganlab.GanlabError, match=r"=1000000000000 need .* of memory, and this machine has"):
            cli.dispatch(["sample", str(finished), *options])
