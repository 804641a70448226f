"""One way to name a checkpoint and a device: for sample, evaluate, init= and ganlab.load."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ganlab
from ganlab import cli
from ganlab.runs import checkpoints, choice, fine_tuning, inherited
from ganlab.runs.run import Run


@pytest.fixture
def several(copied: Path) -> Path:
    """A run with a best checkpoint whose weights are not the last ones'."""
    where = copied / "checkpoints"
    first = checkpoints.load(sorted(where.glob("step_*.ckpt"))[0])
    torch.save(first, where / checkpoints.BEST)
    return copied


def test_a_checkpoint_is_named_by_word_iteration_file_or_path(several: Path, tmp_path: Path) -> None:
    last = Run(several)
    older = sorted((several / "checkpoints").glob("step_*.ckpt"))[0]
    iteration = checkpoints.load(older)["ganlab"]["progress"]["iteration"]
    elsewhere = Path(shutil.copy(older, tmp_path / "mine.pt"))
    assert (last.checkpoint.name, last.iteration > iteration) == ("last.ckpt", True)
    names = (older.stem, older.name, iteration, str(iteration), older, elsewhere, "best", "best.ckpt")
    for name in names:
        found = ganlab.load(several, checkpoint=name)
        assert found.iteration == iteration, name
    assert ganlab.load(older).iteration == ganlab.load(str(older)).iteration == iteration
    assert ganlab.load(older).folder == several
    assert ganlab.load(several, checkpoint=last.iteration).checkpoint.name == "last.ckpt"
    weights = checkpoints.load(older)["state_dict"]
    assert all(torch.equal(value, weights[key]) for key, value in found.module.state_dict().items())


def test_a_loaded_run_is_loaded_again_only_if_something_else_is_asked_for(several: Path) -> None:
    run = ganlab.load(several, checkpoint="best")
    assert ganlab.load(run) is run
    assert ganlab.load(run, device="cpu").checkpoint == run.checkpoint
    assert ganlab.load(run, checkpoint="last").iteration > run.iteration


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("checkpoint=bets",), "has no checkpoint 'bets'. Did you mean 'best'?"),
        (("checkpoint=7",), "has no checkpoint '7'"),
        (("device=cuda:77",), "There is no device=cuda:77 here, only cpu"),
        (("device=gpu",), "There is no device=gpu here, only cpu"),
        (("device=meta",), "There is no device=meta here, only cpu"),
    ],
)
def test_what_is_not_there_is_refused_alike_by_sample_and_evaluate(
    several: Path, words: tuple[str, ...], sentence: str
) -> None:
    for command in ("sample", "evaluate"):
        with pytest.raises(ganlab.GanlabError) as error:
            cli.dispatch([command, str(several), *words])
        assert sentence in str(error.value)


def test_a_file_and_an_option_that_name_a_checkpoint_each_are_refused(several: Path) -> None:
    with pytest.raises(ganlab.GanlabError, match="name a checkpoint each: leave one of them out"):
        ganlab.load(several / "checkpoints/best.ckpt", checkpoint=3)


def test_sample_names_its_picture_by_the_checkpoint_that_is_asked_for(
    several: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = several.parent / "0_reg=sn"
    several.rename(renamed)
    for words in ((renamed / "checkpoints/best.ckpt",), (renamed, "checkpoint=best", "device=cpu", "seed=1")):
        assert cli.dispatch(["sample", *map(str, words), "count=10"]) == 0
    assert f"of iteration {Run(renamed, 'best').iteration}: " in capsys.readouterr().out
    pictures = {path.name for path in (renamed / "samples").glob("sample_*.png")}
    assert {"sample_best_seed0.png", "sample_best_seed1.png"} <= pictures


def test_resume_answers_a_checkpoint_with_its_run(several: Path) -> None:
    with pytest.raises(ganlab.GanlabError, match=rf"its folder is asked for: give {several}\."):
        cli.dispatch(["resume", str(several / "checkpoints/best.ckpt")])


def test_a_run_may_begin_with_any_checkpoint_of_another(several: Path) -> None:
    best = several / "checkpoints/best.ckpt"
    found = inherited.options([f"init={best}"])
    assert found is not None
    run = Run(several)
    assert found.choices["generator"] == run.config["generator"].name
    assert fine_tuning.start_from(run.module, replace(run.config, init=str(best))) == []
    weights = checkpoints.load(best)["state_dict"]
    assert all(torch.equal(value, weights[key]) for key, value in run.module.state_dict().items())


def test_auto_is_a_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert choice.device("auto").type == expected


def test_networks_are_put_on_the_device_that_is_named(
    finished: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The device without numbers stands for one that is not here."""
    named: list[object] = []

    def device(name: object) -> torch.device:
        named.append(name)
        return torch.device("meta" if name == "cuda:1" else "cpu")

    monkeypatch.setattr(choice, "device", device)
    run = ganlab.load(finished, device="cuda:1")
    assert {tensor.device.type for tensor in (*run.module.parameters(), *run.generator.buffers())} == {"meta"}
    assert cli.dispatch(["sample", str(finished), "count=1", "device=cuda:2", f"out={tmp_path / 'grid.png'}"]) == 0
    words = ["metrics=spectrum", "samples=40", "real=false", "device=cuda:3"]
    copy = shutil.copytree(finished, tmp_path / "run")
    assert cli.dispatch(["evaluate", str(copy), *words]) == 0
    assert named == ["cuda:1", "cuda:2", "cuda:3"]
