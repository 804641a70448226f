"""Differences in data from the run that a run begins with are reported or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from support.runs import TINY

import ganlab
from ganlab.data import prepare
from ganlab.runs import run_folder


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of grey images: with ten classes, and with none."""
    where = tmp_path_factory.mktemp("bases")
    words = [*TINY, "trainer.max_steps=1"]
    return {
        "classes": ganlab.train([*words, f"run.dir={where / 'classes'}"]).folder,
        "none": ganlab.train([*words, "data.num_classes=0", f"run.dir={where / 'none'}"]).folder,
        "colour": ganlab.train([*words, "data.image_channels=3", f"run.dir={where / 'colour'}"]).folder,
    }


def images(folder: Path, mode: str, classes: tuple[str, ...] = (), size: int = 16) -> str:
    """``data.path`` of a folder of four images a class."""
    for name in classes or ("",):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(4):
            Image.new(mode, (size, size)).save(folder / "images" / name / f"{number}.png")
    return f"data.path={folder / 'images'}"


def begin(base: Path, folder: Path, *words: str) -> None:
    common = ["trainer.accelerator=cpu", "sample.count=10", "data.batch_size=4", "trainer.max_steps=1"]
    ganlab.train([*common, f"init={base}", f"run.dir={folder / 'run'}", *words])


CLASSES = tuple(f"c{number}" for number in range(10))


def test_a_grey_run_on_images_in_colour_is_refused_before_one_is_decoded(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("data=folder", images(tmp_path, "RGB", CLASSES))
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "decode", lambda *given: pytest.fail("images were decoded"))
        with pytest.raises(
            ganlab.GanlabError, match=r"grey images, and these are in colour: set data.image_channels=1"
        ):
            begin(bases["classes"], tmp_path, *data)
    assert not (tmp_path / "run").exists()
    begin(bases["classes"], tmp_path, *data, "data.image_channels=1")
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "data: images, 40 colour images of 16x16, trained at 8x8 in grey; 10 classes of 4 each"
    assert out[3].endswith("/classes: the size 8x8 (some images are 16x16), images grey (the data is in colour).")
    assert "Classes begin with what " in out[4]
    assert out[4].endswith("of its own, by number: '0' is 'c0', '1' is 'c1', '2' is 'c2' and 7 more.")


def test_a_run_in_colour_takes_grey_images_and_says_so(
    bases: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("data=folder", images(tmp_path, "L", tuple("0123456789"), size=8))
    begin(bases["colour"], tmp_path, *data)
    assert "/colour: images in colour (the data is grey)." in capsys.readouterr().out
    with pytest.raises(ganlab.GanlabError, match=r"networks for images in colour, and data.image_channels=1: leave it"):
        begin(bases["colour"], tmp_path / "other", *data, "data.image_channels=1")


@pytest.mark.parametrize(
    ("base", "classes", "words", "sentence"),
    [
        ("classes", (), (), "networks for 10 classes, and the data has none: sort the images into class folders"),
        ("classes", CLASSES, ("data.num_classes=0",), "networks for 10 classes, and data.num_classes=0: leave it out"),
        ("none", CLASSES, ("data.num_classes=10",), "networks without classes, and data.num_classes=10: leave it out"),
    ],
)
def test_classes_that_the_networks_do_not_fit_are_refused(
    bases: dict[str, Path], tmp_path: Path, base: str, classes: tuple[str, ...], words: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(ganlab.GanlabError) as error:
        begin(bases[base], tmp_path, "data=folder", images(tmp_path, "L", classes), *words)
    assert sentence in str(error.value)


def test_a_run_without_classes_goes_on_without_them_and_says_so(
    bases: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(bases["none"], tmp_path, "data=folder", images(tmp_path, "L", ("cat", "dog"), size=8))
    out = capsys.readouterr().out.splitlines()
    assert out[0].endswith("; 2 classes, not used")
    assert out[3] == f"As in init={bases['none']}: no classes (the data has 2)."


def test_the_same_data_and_named_classes_are_nothing_to_say(
    bases: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(bases["classes"], tmp_path)
    assert capsys.readouterr().out.splitlines()[3] == f"run: {tmp_path / 'run'}"
    named = images(tmp_path, "L", ("cat", "dog"), size=8)
    begin(bases["classes"], tmp_path / "named", "data=folder", named)  # two classes of another run: start afresh
    assert "has 10 classes, the data 2" in capsys.readouterr().out
    begin(tmp_path / "named/run", tmp_path / "again", "data=folder", named)
    assert capsys.readouterr().out.splitlines()[3] == f"run: {tmp_path / 'again/run'}"
    assert run_folder.class_names(tmp_path / "again/run") == ("cat", "dog")
