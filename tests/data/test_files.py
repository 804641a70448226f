"""Folders and archives of images: which images, in what order, of what class.

Each case is tried on a folder and on an archive, stored and compressed.
"""

from __future__ import annotations

import json
import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import encoded, labels_of
from PIL import Image

from ganlab.core.errors import GanlabError
from ganlab.data.files import ImageFiles
from ganlab.data.folder import Folder
from ganlab.data.zip import Zip

Make = Callable[..., ImageFiles]


@pytest.fixture(params=["folder", "stored", "deflated"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes a set of the given files; the contents of an image is its grey level."""

    def build(files: dict[str, int | bytes], **options: str) -> ImageFiles:
        contents = {name: encoded(file) if isinstance(file, int) else file for name, file in files.items()}
        if request.param == "folder":
            for name, content in contents.items():
                (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / "set" / name).write_bytes(content)
            return Folder(str(tmp_path / "set"), **options)
        compression = zipfile.ZIP_STORED if request.param == "stored" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(tmp_path / "set.zip", "w", compression) as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        return Zip(str(tmp_path / "set.zip"), **options)

    return build


def levels(dataset: ImageFiles) -> list[int]:
    return [int(np.asarray(dataset.image(index))[0, 0]) for index in range(len(dataset))]


def names(dataset: ImageFiles) -> list[str]:
    return [dataset.name(index) for index in range(len(dataset))]


def described(labels: object) -> bytes:
    return json.dumps({"labels": labels}).encode()


def test_images_side_by_side_have_no_classes(make: Make) -> None:
    dataset = make({"b.png": 2, "a.png": 1, "c.PNG": 3})
    assert names(dataset) == ["a.png", "b.png", "c.PNG"]
    assert levels(dataset) == [1, 2, 3]
    assert (dataset.labels, dataset.class_names, dataset.num_classes) == (None, (), 0)


def test_the_first_folder_is_the_class_at_any_depth(make: Make) -> None:
    dataset = make({"dog/x.png": 4, "cat/deep/er/a.png": 2, "cat/b.png": 1, "dog/1/y.png": 3})
    assert names(dataset) == ["cat/b.png", "cat/deep/er/a.png", "dog/1/y.png", "dog/x.png"]
    assert levels(dataset) == [1, 2, 3, 4]
    assert dataset.class_names == ("cat", "dog")
    assert labels_of(dataset).tolist() == [0, 0, 1, 1]
    assert labels_of(dataset).dtype == np.int64


def test_classes_that_are_numbers_are_in_the_order_of_numbers(make: Make) -> None:
    dataset = make({f"{label}/a.png": label for label in (10, 2, 0, 1)})
    assert dataset.class_names == ("0", "1", "2", "10")
    assert labels_of(dataset).tolist() == [{0: 0, 1: 1, 2: 2, 10: 3}[level] for level in levels(dataset)]


def test_folders_that_hold_everything_are_looked_into(make: Make) -> None:
    dataset = make({"all/images/cat/a.png": 1, "all/images/dog/a.png": 2})
    assert dataset.class_names == ("cat", "dog")
    assert make({"all/images/cat/b.png": 3}, labels="none").labels is None


def test_one_folder_is_no_class(make: Make) -> None:
    assert make({"images/a.png": 1, "images/b.png": 2}).labels is None


def test_hidden_files_and_other_files_are_left_out(make: Make) -> None:
    files = {"cat/a.png": 1, "dog/b.png": 2, "cat/._a.png": b"", ".cache/c.png": 3, "__MACOSX/cat/a.png": 4}
    dataset = make({**files, "README.txt": b"about", "dog/Thumbs.db": b"", "png": b""})
    assert names(dataset) == ["cat/a.png", "dog/b.png"]
    assert dataset.class_names == ("cat", "dog")


def test_labels_none_leaves_classes_out(make: Make) -> None:
    dataset = make({"cat/a.png": 1, "dog/b.png": 2, "c.png": 3}, labels="none")
    assert (dataset.labels, dataset.num_classes, len(dataset)) == (None, 0, 3)


def test_images_beside_class_folders_are_an_error(make: Make) -> None:
    with pytest.raises(GanlabError, match=r"2 images beside them \(c\.png, \.\.\.\).*data\.labels=none"):
        make({"cat/a.png": 1, "dog/b.png": 2, "d.png": 4, "c.png": 3})


def test_insisting_on_folders_where_there_are_none_is_an_error(make: Make) -> None:
    with pytest.raises(GanlabError, match="no class folders"):
        make({"a.png": 1}, labels="folders")


def test_insisting_on_a_description_where_there_is_none_is_an_error(make: Make) -> None:
    with pytest.raises(GanlabError, match=r"has no dataset\.json"):
        make({"cat/a.png": 1, "dog/b.png": 2}, labels="json")


def test_other_sources_of_labels_are_refused(make: Make) -> None:
    with pytest.raises(ValueError, match=r"labels must be one of auto, json, folders, none, got 'jsn'"):
        make({"a.png": 1}, labels="jsn")


STYLEGAN = {f"0000{shard}/img0000000{shard}.png": 10 * shard for shard in range(3)}


def test_a_description_gives_the_classes(make: Make) -> None:
    labels = [[name, 2 - shard] for shard, name in enumerate(STYLEGAN)]
    dataset = make({**STYLEGAN, "dataset.json": described(labels[::-1])})
    assert levels(dataset) == [0, 10, 20]
    assert labels_of(dataset).tolist() == [2, 1, 0]
    assert dataset.class_names == ("0", "1", "2")


def test_classes_without_images_count(make: Make) -> None:
    dataset = make({"a.png": 1, "b.png": 2, "dataset.json": described([["a.png", 0], ["b.png", 4]])})
    assert dataset.num_classes == 5


def test_a_description_wins_over_folders_unless_they_are_asked_for(make: Make) -> None:
    files = {"cat/a.png": 1, "dog/b.png": 2, "dataset.json": described([["cat/a.png", 1], ["dog/b.png", 0]])}
    assert labels_of(make(files)).tolist() == [1, 0]
    assert labels_of(make(files, labels="json")).tolist() == [1, 0]
    assert labels_of(make(files, labels="folders")).tolist() == [0, 1]


def test_a_description_may_lie_in_the_folder_that_holds_everything(make: Make) -> None:
    dataset = make(
        {"emoji/x/a.png": 1, "emoji/y/b.png": 2, "emoji/dataset.json": described([["x/a.png", 3], ["y/b.png", 0]])}
    )
    assert labels_of(dataset).tolist() == [3, 0]


@pytest.mark.parametrize("description", [{"dataset.json": described(None)}, {}])
def test_stylegans_numbered_folders_are_no_classes(make: Make, description: dict[str, bytes]) -> None:
    assert make({**STYLEGAN, **description}).labels is None


@pytest.mark.parametrize("labels", [[["a.png", 0]], [["a.png", 0], ["b.png", 0], ["c.png", 0]]])
def test_an_image_without_label_and_a_label_without_image_are_errors(make: Make, labels: list[list[int | str]]) -> None:
    with pytest.raises(
        GanlabError, match=r"does not match its images: 1 (without a label|.* not there) \([bc]\.png\);"
    ):
        make({"a.png": 1, "b.png": 2, "dataset.json": described(labels)})


def test_a_description_that_does_not_match_is_one_sentence(make: Make) -> None:
    labels = [[name, 0] for name in list(STYLEGAN)[1:]] + [["gone.png", 1], ["lost.png", 1]]
    with pytest.raises(GanlabError) as caught:
        make({**STYLEGAN, "dataset.json": described(labels)})
    message = str(caught.value)
    assert "1 without a label (00000/img00000000.png)" in message
    assert "2 labelled and not there (gone.png, ...)" in message
    assert "data.labels=none" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "description",
    [
        b"{",
        b"[]",
        b"{}",
        b"\xff\xfe",
        described([]),
        described(["a.png"]),
        described({"a.png": 0}),
        described([["a.png", -1]]),
        described([["a.png", 0.5]]),
        described([["a.png", True]]),
        described([["a.png", [1, 0]]]),
    ],
)
def test_a_description_of_another_shape_is_one_sentence(make: Make, description: bytes) -> None:
    with pytest.raises(GanlabError, match=r"dataset\.json of .* cannot be used; expected .*Fix it"):
        make({"a.png": 1, "dataset.json": description})


def test_a_description_that_labels_an_image_twice_is_an_error(make: Make) -> None:
    with pytest.raises(GanlabError, match="more than once"):
        make({"a.png": 1, "dataset.json": described([["a.png", 0], ["a.png", 1]])})


def test_a_set_without_images_is_an_error(make: Make) -> None:
    with pytest.raises(GanlabError, match=r"has no images .* among its 1 files; point data\.path"):
        make({"notes.txt": b"nothing"})


def test_size_and_channels_are_known_if_images_agree(make: Make) -> None:
    dataset = make({"a.png": encoded(1, (6, 4)), "b.png": encoded(2, (6, 4))})
    assert (dataset.native_size, dataset.native_channels) == ((4, 6), 1)
    dataset = make({"a.png": encoded(1, (6, 4)), "b.png": encoded(2, (4, 6))})
    assert dataset.native_size is None


def test_one_colour_image_makes_a_set_coloured(make: Make, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "colour.png")
    assert make({"a.png": 1, "b.png": (tmp_path / "colour.png").read_bytes()}).native_channels == 3


def test_the_fingerprint_stays_while_nothing_changes(make: Make) -> None:
    files = {"a.png": 1, "b.png": 2}
    dataset = make(files)
    assert dataset.fingerprint() == dataset.fingerprint()


@pytest.mark.parametrize(
    "changed", [{"a.png": 1, "b.png": 3}, {"a.png": 1, "c.png": 2}, {"a.png": 1}, {"a.png": 2, "b.png": 1}]
)
def test_the_fingerprint_changes_with_contents_and_names(make: Make, changed: dict[str, int], tmp_path: Path) -> None:
    before = make({"a.png": 1, "b.png": 2}).fingerprint()
    if (tmp_path / "set").exists():
        for file in (tmp_path / "set").iterdir():
            file.unlink()
    assert make(changed).fingerprint() != before


def test_equal_times_and_sizes_do_not_hide_a_change(tmp_path: Path) -> None:
    fingerprints = set()
    for level in (1, 2):
        (tmp_path / "a.png").write_bytes(encoded(level, format="BMP"))
        os.utime(tmp_path / "a.png", (0, 0))
        fingerprints.add(Folder(str(tmp_path)).fingerprint())
    assert len(fingerprints) == 2


def test_a_changed_time_counts_as_a_change(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(1))
    before = Folder(str(tmp_path)).fingerprint()
    os.utime(tmp_path / "a.png", (0, 0))
    assert Folder(str(tmp_path)).fingerprint() != before


def test_a_renamed_file_counts_as_a_change(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(1))
    before = Folder(str(tmp_path)).fingerprint()
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    assert Folder(str(tmp_path)).fingerprint() != before


def test_an_archive_may_be_moved(tmp_path: Path) -> None:
    def fingerprint(name: str) -> str:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a.png", encoded(1))
        return Zip(str(tmp_path / name)).fingerprint()

    assert fingerprint("here.zip") == fingerprint("there.zip")


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.png").write_bytes(encoded(1))
    (tmp_path / "set" / "dog").mkdir(parents=True)
    (tmp_path / "set" / "dog" / "b.png").write_bytes(encoded(2))
    (tmp_path / "set" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "dog" / "loop").symlink_to(tmp_path / "set")
    dataset = Folder(str(tmp_path / "set"))
    assert dataset.class_names == ("cat", "dog")
    assert sorted(set(levels(dataset))) == [1, 2]
    assert len(dataset) == 2


@pytest.mark.parametrize("kind", [Folder, Zip])
def test_a_missing_path_is_reported_with_its_key(kind: type[Folder] | type[Zip], tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match=r"There is no .*nowhere; set data\.path"):
        kind(str(tmp_path / "nowhere"))


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match=r"has no images .* among its 0 files"):
        Folder(str(tmp_path))


def test_archives_and_folders_point_at_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(GanlabError, match="data=zip"):
        Folder(str(tmp_path / "a.zip"))
    with pytest.raises(GanlabError, match="data=folder"):
        Zip(str(tmp_path))


@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.999])
def test_a_truncated_archive_is_one_sentence(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for level in range(20):
            archive.writestr(f"{level}.png", encoded(level))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(GanlabError, match=r"no whole zip archive .* copy or download it again"):
        Zip(str(path))


def test_a_damaged_description_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", encoded(1))
        archive.writestr("dataset.json", described([["a.png", 0]]))
    path.write_bytes(path.read_bytes().replace(b'"labels"', b'"lobels"', 1))
    with pytest.raises(GanlabError, match=r"dataset\.json .* cannot be read \(Bad CRC-32"):
        Zip(str(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_nobody_waits_for_pipes_and_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "b.png").write_bytes(encoded(3))
    for name in ("a.png", "dataset.json"):
        os.mkfifo(tmp_path / "set" / name)
    with pytest.raises(GanlabError, match=r"dataset.json of .* cannot be read \(.*it is no plain file"):
        Folder(str(tmp_path / "set"))
    monkeypatch.chdir(tmp_path / "set")  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("c.png")
    found = Folder(str(tmp_path / "set"), "none")
    assert len(found) == 3
    assert found.native_size is not None
    found.fingerprint()
    for index in (0, 2):
        with pytest.raises(OSError):
            found.image(index)
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(GanlabError, match=r"pipe.zip is no plain file"):
        Zip(str(tmp_path / "pipe.zip"))
