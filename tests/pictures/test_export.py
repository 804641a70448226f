"""Samples for other programs: the same images in an .npz and in a folder, whole or said, in bounded memory."""

from __future__ import annotations

import itertools
import json
import os
import signal
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.runs import TINY, Start, picture

import ganlab
from ganlab import cli
from ganlab.core.errors import GanlabError
from ganlab.data import progress
from ganlab.pictures import export
from ganlab.runs.run import Run
from ganlab.sampling import generation


@pytest.fixture(scope="module")
def run(finished: Path) -> Run:
    return ganlab.load(finished)


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("colour") / "run"
    words = ["data.num_classes=0", "data.image_channels=3", "trainer.max_steps=1", f"run.dir={folder}"]
    return ganlab.train([*TINY, *words])


def sample(run: Run, out: Path | str, *words: str) -> None:
    assert cli.dispatch(["sample", str(run.folder), f"out={out}", *words]) == 0


def in_folder(folder: Path) -> dict[str, np.ndarray]:
    return {str(p.relative_to(folder)): np.asarray(picture(p)) for p in sorted(folder.rglob("*.png"))}


def near(found: np.ndarray, images: torch.Tensor) -> None:
    """Equal but for a grey level, which the rounding of another batch size can turn."""
    expected = generation.to_uint8(images).permute(0, 2, 3, 1).numpy()
    assert found.shape == expected.shape
    assert abs(found.astype(int) - expected).max() <= 1


def test_an_npz_has_the_images_of_a_grid_and_their_classes_as_other_codes_read_them(run: Run, tmp_path: Path) -> None:
    sample(run, tmp_path / "new" / "x.npz", "count=70", "seed=3", "truncation=0.8")
    with np.load(tmp_path / "new" / "x.npz") as arrays:
        assert arrays.files == ["arr_0", "arr_1"]
        images, labels = arrays["arr_0"], arrays["arr_1"]
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    assert labels.tolist() == [number % 10 for number in range(70)]
    near(images, run.sample(70, labels.tolist(), seed=3, truncation=0.8))
    sample(run, tmp_path / "grid.png", "count=70", "seed=3", "truncation=0.8")
    shown = np.asarray(picture(tmp_path / "grid.png")).astype(int)
    tile = shown[2 + 34 * 4 :: 4, -34 * 7 + 34 * 2 :: 4][:8, :8]  # row 4, column 2
    assert abs(tile - images[24, :, :, 0]).max() <= 1
    assert os.listdir(tmp_path / "new") == ["x.npz"]
    with zipfile.ZipFile(tmp_path / "new" / "x.npz") as archive:
        assert archive.testzip() is None


def test_a_folder_has_the_same_images_by_class_and_number(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample(run, f"{tmp_path}/x/", "count=12", "start=95", "seed=3")
    images = in_folder(tmp_path / "x")
    assert list(images) == sorted(f"{number % 10}/{number:06d}.png" for number in range(95, 107))
    stacked = np.stack([images[f"{number % 10}/{number:06d}.png"] for number in range(95, 107)])
    near(stacked[..., None], run.sample(12, [n % 10 for n in range(95, 107)], start=95, seed=3))
    said = json.loads((tmp_path / "x" / "samples.json").read_text())
    assert (said["complete"], said["count"], said["start"], said["seed"], said["iteration"]) == (True, 12, 95, 3, 4)
    assert "12 images of iteration 4" in capsys.readouterr().out


def test_samples_do_not_depend_on_the_batch_they_are_made_in(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample(run, tmp_path / "a.npz", "count=20")
    monkeypatch.setattr(export, "BATCH", 7)
    sample(run, tmp_path / "b.npz", "count=20")
    a, b = (np.load(tmp_path / name)["arr_0"].astype(int) for name in ("a.npz", "b.npz"))
    assert abs(a - b).max() <= 1


def test_chosen_classes_are_repeated_in_turn_or_used_as_given(run: Run, tmp_path: Path) -> None:
    for words, labels in (("[4,2]", [4, 2, 4, 2, 4]), ("[1,1,2,3,5]", [1, 1, 2, 3, 5]), ("6", [6] * 5)):
        sample(run, tmp_path / "x.npz", "count=5", f"labels={words}")
        with np.load(tmp_path / "x.npz") as arrays:
            assert arrays["arr_1"].tolist() == labels


def test_an_unconditional_run_has_no_labels_and_no_class_folders(colour: Run, tmp_path: Path) -> None:
    sample(colour, tmp_path / "x.npz", "count=3")
    sample(colour, f"{tmp_path}/x/", "count=3")
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays.files == ["arr_0"]
        assert arrays["arr_0"].shape == (3, 8, 8, 3)
        images = in_folder(tmp_path / "x")
        assert list(images) == ["000000.png", "000001.png", "000002.png"]
        assert np.array_equal(np.stack(list(images.values())), arrays["arr_0"])


def test_ganlab_evaluates_what_it_wrote_with_its_labels(run: Run, tmp_path: Path) -> None:
    from ganlab.evaluation import sources

    sample(run, f"{tmp_path}/x/", "count=30")
    source, _, said = sources.of_path(f"{tmp_path}/x", (8, 8), 1, 10, class_names=tuple("0123456789"))
    assert (source.count, source.num_classes, said) == (30, 10, [])


# --- what is there already


def test_a_folder_of_samples_is_made_anew(run: Run, tmp_path: Path) -> None:
    sample(run, f"{tmp_path}/x/", "count=30")
    sample(run, tmp_path / "x", "count=4", "labels=2", "seed=1")  # an existing folder needs no slash
    images = in_folder(tmp_path / "x")
    assert list(images) == [f"2/{number:06d}.png" for number in range(4)]
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == ["2", "samples.json"]


@pytest.mark.parametrize(
    "foreign", ["photo.jpg", "1/photo.png", "0000001.txt", "cats/000001.png", ".hidden", "1/2/000001.png", "17.png"]
)
def test_a_folder_with_anything_else_is_left_alone(run: Run, tmp_path: Path, foreign: str) -> None:
    folder = tmp_path / "x"
    sample(run, f"{folder}/", "count=11")
    (folder / foreign).parent.mkdir(parents=True, exist_ok=True)
    (folder / foreign).write_text("mine")
    before = sorted(folder.rglob("*"))
    with pytest.raises(GanlabError, match=r"is not empty, and .* in it is not of `ganlab sample`: give a new folder"):
        sample(run, folder, "count=1")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("mark", [None, "{}", "[", '{"made_by": "me"}'])
def test_numbered_images_that_ganlab_did_not_write_are_left_alone(run: Run, tmp_path: Path, mark: str | None) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "000001.png").write_text("mine")
    if mark is not None:
        (tmp_path / "x" / "samples.json").write_text(mark)
    with pytest.raises(GanlabError, match="is not empty"):
        sample(run, tmp_path / "x", "count=1")
    assert (tmp_path / "x" / "000001.png").read_text() == "mine"


def test_links_in_a_folder_of_samples_are_not_followed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "000001.png").write_text("mine")
    sample(run, f"{tmp_path}/x/", "count=1")
    (tmp_path / "x" / "7").symlink_to(tmp_path / "mine")
    with pytest.raises(GanlabError, match="is not empty, and 7 in it"):
        sample(run, tmp_path / "x", "count=1")
    assert (tmp_path / "mine" / "000001.png").read_text() == "mine"


def test_what_cannot_be_made_touches_nothing(run: Run, tmp_path: Path) -> None:
    sample(run, f"{tmp_path}/x/", "count=3")
    before = in_folder(tmp_path / "x")
    for out in ("x", "new/", "new.npz"):
        with pytest.raises(GanlabError, match="classes from 0 to 9, got 44"):
            sample(run, f"{tmp_path}/{out}", "count=3", "labels=44")
    assert list(in_folder(tmp_path / "x")) == list(before)
    assert os.listdir(tmp_path) == ["x"]


# --- what goes wrong


def test_more_images_than_the_disk_holds_are_refused_before_the_second_batch(run: Run, tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match=r"1,000,000,000,000 images take 64,000\.0 GB, and .* has .* GB free: give a"):
        sample(run, tmp_path / "x.npz", "count=1000000000000")
    assert not list(tmp_path.iterdir())


def test_a_folder_of_a_command_that_was_killed_before_its_first_mark_is_taken(run: Run, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".samples.json.0123456789ab.part").touch()
    sample(run, f"{tmp_path}/new/", "count=3")
    assert not [name for name in in_folder(tmp_path / "new") if name.endswith(".part")]


def test_more_images_than_the_disk_holds_are_refused_before_a_folder_is_made(run: Run, tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match=r"1,000,000,000,000 images take 67,000\.0 GB, and "):
        sample(run, f"{tmp_path}/new/", "count=1000000000000")
    assert not list(tmp_path.iterdir())


def samples(count: int, interrupted_at: int) -> export.Samples:
    def images(start: int, stop: int) -> torch.Tensor:
        if start >= interrupted_at:
            raise KeyboardInterrupt
        return torch.zeros(stop - start, 1, 4, 4)

    return export.Samples(images, lambda start, stop: None, count)


def test_an_interrupted_npz_leaves_the_one_before_it(tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    export.write_npz(samples(10, 100), out)
    before = out.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        export.write_npz(samples(200, 128), out)
    assert out.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.npz"]


def test_an_interrupted_folder_says_how_many_images_it_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        export.write_folder(samples(200, 128), tmp_path / "x")
    assert "x is not complete: it has 128 of 200 images." in capsys.readouterr().err
    assert len(in_folder(tmp_path / "x")) == 128
    assert json.loads((tmp_path / "x" / "samples.json").read_text())["complete"] is False
    export.write_folder(samples(200, 200), tmp_path / "x")  # the same command again
    assert len(in_folder(tmp_path / "x")) == 200
    assert json.loads((tmp_path / "x" / "samples.json").read_text())["complete"] is True


def test_a_full_disk_is_one_sentence_and_leaves_no_half_of_an_image(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace, left = os.replace, [6]  # samples.json and five images

    def full(a: Any, b: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        replace(a, b)

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(GanlabError, match="x cannot be written: No space left on device"):
        sample(run, f"{tmp_path}/x/", "count=9")
    assert "it has 5 of 9 images" in capsys.readouterr().err
    assert len(list((tmp_path / "x").rglob("*.png*"))) == 5


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is measured as Linux says it")
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """12,000 images of 64x64 are 147 MB in the file, and four times that as floats."""
    held: list[int] = []

    def images(start: int, stop: int) -> torch.Tensor:
        held.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        return zeros[: stop - start]

    zeros = torch.zeros(export.BATCH, 3, 64, 64)
    made = export.Samples(images, lambda start, stop: [0] * (stop - start), 12_000, num_classes=1)
    export.write_npz(made, tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        assert archive.getinfo("arr_0.npy").file_size == 128 + 12_000 * 64 * 64 * 3
    assert max(held) - held[2] < 70e6


@pytest.mark.parametrize("name", ["x.npz", "x"])
def test_a_long_export_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    seconds = itertools.count(0, 30)  # half a minute for each batch
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    zeros, write = torch.zeros(export.BATCH, 1, 1, 1), export.write_npz if "." in name else export.write_folder
    write(export.Samples(lambda start, stop: zeros[: stop - start], lambda *_: None, 2 * export.BATCH), tmp_path / name)
    of = 2 * export.BATCH
    lines = [line.partition(" images/s")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == [f"sampling: {done:,} of {of:,}, {export.BATCH / 30:,.0f}" for done in (export.BATCH, of)]


@pytest.mark.slow
def test_a_terminated_command_leaves_nothing_half_written(command: Start, finished: Path, tmp_path: Path) -> None:
    started = command("sample", str(finished), "count=1000000", f"out={tmp_path / 'x.npz'}")
    started.wait_for(lambda: any(part.stat().st_size > 20_000 for part in tmp_path.glob(".x.npz.*.part")))
    started.signal(signal.SIGTERM)
    code, _, err = started.end()
    assert code == 128 + signal.SIGTERM
    assert "Traceback" not in err
    assert not list(tmp_path.glob("*x.npz*"))
