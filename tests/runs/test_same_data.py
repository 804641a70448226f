"""A run that is resumed on other data than it was trained on says so."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from support.runs import TINY, state

from ganlab.config import compose
from ganlab.core.errors import GanlabError
from ganlab.data import contents
from ganlab.runs import checkpoints, session
from ganlab.runs.session import Outcome


def picture(path: Path, seed: int, size: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (size, size), np.uint8)
    Image.fromarray(values).save(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images of two classes, and a run of two iterations on them."""
    folder = tmp_path_factory.mktemp("trained")
    for name in ("cats", "dogs"):
        for number in range(5):
            picture(folder / "images" / name / f"{number}.png", number + 5 * (name == "dogs"))
    run(folder)
    return folder


def run(folder: Path, *options: str) -> None:
    words = [*TINY, "data=folder", f"data.path={folder / 'images'}", "data.image_size=8", "data.image_channels=1"]
    session.start(compose.read([*words, "trainer.max_steps=2", f"run.dir={folder / 'run'}", *options]))


@pytest.fixture
def again(trained: Path, tmp_path: Path) -> Path:
    """A copy of both whose run is to be resumed with the copied images."""
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


def resume(folder: Path, *options: str, steps: int = 4) -> Outcome:
    overrides = {key: yaml.safe_load(value) for key, value in (option.split("=") for option in options)}
    changed = {"trainer.max_steps": steps, "data.path": str(folder / "images"), **overrides}
    return session.resume(folder / "run", changed)


def remove(folder: Path) -> None:
    (folder / "images/dogs/4.png").unlink()


def add(folder: Path) -> None:
    picture(folder / "images/cats/5.png", 10)


def alter(folder: Path) -> None:
    path = folder / "images/cats/1.png"
    before = path.stat()
    values = np.array(Image.open(path))
    values[3, 3] ^= 1
    Image.fromarray(values).save(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def enlarge(folder: Path) -> None:
    for number, path in enumerate(sorted(folder.glob("images/*/*.png"))):
        picture(path, number, size=16)


def exchange(folder: Path) -> None:
    cat, dog = folder / "images/cats/0.png", folder / "images/dogs/9.png"
    cat.rename(dog)


def rename(folder: Path) -> None:
    (folder / "images/cats").rename(folder / "images/zebras")


CHANGES: dict[Callable[[Path], None], str] = {
    remove: "9 images instead of 10; 5, 4 images of the classes instead of 5, 5",
    add: "11 images instead of 10; 6, 5 images of the classes instead of 5, 5",
    alter: "the images' contents",
    enlarge: "images of 16x16 instead of 8x8",
    exchange: "4, 6 images of the classes instead of 5, 5",
    rename: "classes dogs, zebras instead of cats, dogs",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_other_data_is_refused_with_what_differs_unless_it_is_accepted(
    again: Path, capfd: pytest.CaptureFixture[str], change: Callable[[Path], None]
) -> None:
    change(again)
    before = (again / "run/checkpoints/last.ckpt").read_bytes()
    with pytest.raises(GanlabError) as caught:
        resume(again)
    assert f"what differs: {CHANGES[change]}. Bring it back" in str(caught.value)
    assert str(caught.value).endswith(f"`ganlab resume {again / 'run'} data.changed=accept`.")
    assert (again / "run/checkpoints/last.ckpt").read_bytes() == before
    resume(again, "data.changed=accept")
    assert f"Going on with other data; what differs: {CHANGES[change]}." in capfd.readouterr().out
    resume(again, steps=5)  # what was accepted is the run's data now
    assert "data.changed" not in (again / "run/config.yaml").read_text()


def test_the_same_images_with_other_times_and_names_are_the_same_data(again: Path) -> None:
    for path in again.glob("images/*/*.png"):
        os.utime(path, (1, 1))
        path.rename(path.with_stem(f"image {path.stem}"))
    resume(again)
    assert state(again / "run")["ganlab"]["progress"]["iteration"] == 4


def test_labels_that_an_unconditional_run_does_not_use_may_change(again: Path) -> None:
    shutil.rmtree(again / "run")
    run(again, "data.num_classes=0")
    rename(again)
    shutil.move(again / "images/dogs", again / "images/aardvarks")
    with pytest.raises(GanlabError, match="the images' contents"):
        resume(again)  # another order
    shutil.move(again / "images/zebras", again / "images/aaa")
    resume(again)


def test_an_older_checkpoint_does_not_say_what_it_was_trained_on(again: Path) -> None:
    path = again / "run/checkpoints/last.ckpt"
    content = torch.load(path, weights_only=True)
    del content["ganlab"]["data"]
    torch.save(content, path)
    remove(again)
    resume(again)
    assert checkpoints.load(path)["ganlab"]["data"]["images"] == 9


def test_of_packed_images_the_files_are_looked_at(again: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    shutil.rmtree(again / "run")
    run(again, "data.memory_budget_mib=0")
    resume(again, steps=3)
    resume(again, "data.memory_budget_mib=100", steps=4)  # the same images, held elsewhere
    resume(again, "data.memory_budget_mib=0", steps=5)
    picture(again / "images/cats/1.png", 77)
    with pytest.raises(GanlabError, match="the images' contents"):
        resume(again, steps=6)


def test_the_run_says_what_it_is_trained_on(trained: Path) -> None:
    data = json.loads((trained / "run/environment.json").read_text())["data"]
    assert data["images"] == 10
    assert data["classes"] == ["cats", "dogs"]
    assert data == state(trained / "run")["ganlab"]["data"]


def test_the_option_has_one_value(again: Path) -> None:
    with pytest.raises(GanlabError, match=r"data.changed must be accept, got 'maybe'"):
        resume(again, "data.changed=maybe")


@pytest.mark.parametrize("before", [3, [], {"images": {}}, {"classes": 5, "kind": "pixels"}])
def test_what_a_checkpoint_says_may_be_anything(before: Any) -> None:
    now: dict[str, Any] = {
        "images": 1,
        "found_size": None,
        "classes": [],
        "images_of_classes": [],
        "kind": "pixels",
        "contents": "a",
    }
    assert contents.differences(before, now)
