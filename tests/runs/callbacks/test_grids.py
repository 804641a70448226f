"""Sample grids of a run: when, how many are kept, and what happens when they cannot be made."""

import shutil
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.runs import Train, picture

import ganlab
from ganlab import cli
from ganlab.contracts.callback import RunContext
from ganlab.core.errors import GanlabError
from ganlab.sampling import captions, generation


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("iteration_")) for path in (folder / "samples").glob("*"))


def test_a_grid_is_made_every_so_often_and_at_the_end(train: Train) -> None:
    assert numbers(train("sample.every_steps=3", steps=7)) == [3, 6, 7]


def test_when_there_are_too_many_every_second_one_goes_and_the_first_and_last_stay(train: Train) -> None:
    """1 2 3 4 5 -> 1 3 5; 1 3 5 6 7 -> 1 5 7; 1 5 7 8 9 -> 1 7 9."""
    assert numbers(train("sample.every_steps=1", "sample.keep=4", steps=9)) == [1, 7, 9]


def test_a_grid_at_the_end_is_not_made_twice(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganlab.sampling import generation

    calls = []
    write = generation.write_png

    def counted(*arguments: Any) -> None:
        calls.append(1)
        write(*arguments)

    monkeypatch.setattr(generation, "write_png", counted)
    train("sample.every_steps=2", steps=4)
    assert len(calls) == 2


def test_the_last_grid_is_made_before_the_last_checkpoint(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed between the two is complete, and is not resumed."""
    found = []
    write = generation.write_png

    def noted(canvas: Any, path: Path) -> None:
        found.append((path.stem[-1], (path.parents[1] / "checkpoints" / "last.ckpt").exists()))
        write(canvas, path)

    monkeypatch.setattr(generation, "write_png", noted)
    train("sample.every_steps=3", "checkpoint.every_steps=4", steps=4)
    assert found == [("3", False), ("4", False)]


def test_a_grid_has_one_row_a_class_with_its_name(train: Train) -> None:
    folder = train("sample.count=30", steps=1)
    shown = np.asarray(picture(folder / "samples/iteration_000000001.png"))
    run = ganlab.load(folder)
    images = run.sample(30, [number % 10 for number in range(30)])
    rows = torch.cat([images[c::10] for c in range(10)])
    expected = captions.beside(generation.grid(rows, 3), list("0123456789"))[0].numpy()
    assert np.array_equal(shown, expected)


def test_a_grid_names_the_folders_of_the_photos(train: Train, tmp_path: Path) -> None:
    """The run keeps the names: pictures have them when the photos are gone."""
    for number, name in enumerate(["cat", "a dog"]):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(8):
            Image.new("L", (8, 8), 90 * number + i).save(tmp_path / "photos" / name / f"{i}.png")
    folder = train("data=folder", f"data.path={tmp_path / 'photos'}", "data.image_size=8", steps=1)
    (tmp_path / "photos").rename(tmp_path / "gone")
    shown = np.asarray(picture(folder / "samples/iteration_000000001.png"))
    named = captions.beside(torch.full((1, 2 + 2 * 34, 2 + 5 * 34), 255, dtype=torch.uint8), ["a dog", "cat"])[0]
    beside = named.shape[1] - (2 + 5 * 34)
    assert np.array_equal(shown[:, :beside], named[:, :beside].numpy())
    assert cli.dispatch(["sample", str(folder), "count=10"]) == 0
    assert np.array_equal(np.asarray(picture(folder / "samples/sample_seed0.png"))[:, :beside], shown[:, :beside])


def test_points_of_a_plane_are_no_picture(train: Train) -> None:
    """A generator whose images have neither one nor three channels makes none; the run goes on."""
    from ganlab.runs.callbacks.grids import Grids

    class Plane:
        image_shape = (2,)

    class Module:
        average = MappingProxyType({"generator": Plane()})
        progress = type("P", (), {"iteration": 1})

    class Trainer:
        is_global_zero = True

    run = RunContext(Path("nowhere"))
    grids = Grids(run, every_steps=1, count=4, keep=2, truncation=None)
    grids._write(Trainer(), Module())  # type: ignore[arg-type]
    assert run.ending.grid is None


def test_a_folder_that_cannot_be_written_is_reported_and_training_goes_on(
    train: Train, finished: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    shutil.copy(finished / "config.yaml", tmp_path / "run")
    (tmp_path / "run" / "samples").write_text("a file")
    folder = train()
    assert "iteration_000000004.png cannot be written" in capfd.readouterr().err
    assert (folder / "checkpoints/last.ckpt").is_file()


def test_truncation_is_checked_before_training(train: Train, tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match=r"cannot be truncated|must be"):
        train("sample.truncation=.inf")
    assert not (tmp_path / "run").exists()
    assert numbers(train("sample.truncation=0.5", steps=1)) == [1]
