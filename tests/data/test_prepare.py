"""One uint8 tensor from a set of images, in memory or packed: the same pixels either way."""

from __future__ import annotations

import os
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pictures import Counting, encoded
from PIL import Image

from ganlab.contracts.dataset import Dataset
from ganlab.core.cache import cache_folder
from ganlab.core.errors import GanlabError
from ganlab.data.decode import decode
from ganlab.data.digits import Digits
from ganlab.data.folder import Folder
from ganlab.data.pixels import pixels
from ganlab.data.prepare import Images, prepare
from ganlab.data.zip import Zip

Prepare = Callable[..., Images]


@pytest.fixture(params=["memory", "pack"])
def ready(request: pytest.FixtureRequest, tmp_path: Path) -> Prepare:
    """`prepare` for 8x8 grey images, in each of its two ways."""

    def call(source: Dataset, **options: Any) -> Images:
        budget = {"memory": 100, "pack": 0}[request.param]
        given = {"image_size": (8, 8), "image_channels": 1, "cache_dir": tmp_path / "cache", **options}
        images = prepare(source, memory_budget_mib=budget, **given)
        assert (images.path is None) == (request.param == "memory")
        return images

    return call


def test_the_tensor_holds_each_image_in_order(ready: Prepare) -> None:
    images = ready(Counting(300))
    assert (images.pixels.shape, images.pixels.dtype) == ((300, 1, 8, 8), torch.uint8)
    assert images.pixels.is_contiguous()
    assert images.pixels.eq((torch.arange(300) % 251).view(-1, 1, 1, 1)).all()
    assert images.labels is not None
    assert images.labels.equal(torch.arange(300) % 2)
    assert (images.labels.dtype, images.num_classes, images.class_names) == (torch.int64, 2, ("even", "odd"))
    assert images.skipped == ()


@pytest.mark.parametrize("num_workers", [0, 1, 2, 5, None])
def test_any_number_of_threads_gives_the_same_tensor(ready: Prepare, num_workers: int | None) -> None:
    source = Counting(1000, bad=(0, 64, 65, 999))
    assert ready(source, num_workers=num_workers, undecodable="skip").pixels[:, 0, 0, 0].tolist() == [
        index % 251 for index in range(1000) if index not in (0, 64, 65, 999)
    ]


@pytest.mark.parametrize(("size", "image_channels"), [((32, 32), 1), ((16, 24), 3)])
def test_pixels_are_those_of_each_image_alone(ready: Prepare, size: tuple[int, int], image_channels: int) -> None:
    digits = Digits()
    images = ready(digits, image_size=size, image_channels=image_channels)
    for index in (0, 1, 63, 64, 1000, 1796):
        assert np.array_equal(images.pixels[index].numpy(), pixels(digits.image(index), size, image_channels))


def test_a_pack_equals_the_tensor_in_memory_bit_for_bit(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for index in range(150):
        array = random.integers(0, 256, (random.integers(5, 40), random.integers(5, 40), 3), dtype=np.uint8)
        (tmp_path / "set" / str(index % 3)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(tmp_path / "set" / str(index % 3) / f"{index}.png")
    (tmp_path / "set" / "1" / "text.png").write_text("no picture")
    source = Folder(str(tmp_path / "set"))
    one, other, again = (
        prepare(
            source,
            image_size=(16, 12),
            image_channels=3,
            memory_budget_mib=budget,
            undecodable="skip",
            cache_dir=tmp_path / "cache",
        )
        for budget in (100, 0, 0)
    )
    assert one.path is None
    assert other.path is not None
    assert other.path == again.path
    assert one.labels is not None
    for images in (other, again):
        assert images.labels is not None
        assert images.pixels.equal(one.pixels)
        assert torch.equal(images.labels, one.labels)
        assert (images.class_names, images.skipped) == (one.class_names, one.skipped)


def test_a_set_is_packed_once(tmp_path: Path) -> None:
    source = Counting(100, log=tmp_path / "log")
    for _ in range(3):
        prepare(source, image_size=(8, 8), image_channels=1, memory_budget_mib=0, cache_dir=tmp_path)
    assert (tmp_path / "log").stat().st_size == 100


def test_the_budget_decides_by_decoded_size(tmp_path: Path) -> None:
    """256 images of 64 x 64 x 1 bytes are exactly one MiB."""
    for count, packed in ((256, False), (257, True)):
        images = prepare(
            Counting(count), image_size=(64, 64), image_channels=1, memory_budget_mib=1, cache_dir=tmp_path
        )
        assert (images.path is not None) == packed


def test_writing_to_packed_pixels_does_not_reach_the_file(tmp_path: Path) -> None:
    for _ in range(2):
        images = prepare(Counting(5), image_size=(8, 8), image_channels=1, memory_budget_mib=0, cache_dir=tmp_path)
        assert images.pixels[4].eq(4).all()
        images.pixels.zero_()


def test_every_undecodable_image_is_named(ready: Prepare, tmp_path: Path) -> None:
    for level in range(30):
        (tmp_path / f"{level:02}.png").write_bytes(encoded(level) if level % 2 else b"just text")
    (tmp_path / "29.png").write_bytes(encoded(29)[:50])
    with pytest.raises(GanlabError) as caught:
        ready(Folder(str(tmp_path)))
    message = str(caught.value)
    assert message.startswith("16 of 30 images cannot be decoded: 00.png (")
    assert all(f"{level:02}.png (" in message for level in range(0, 20, 2))
    assert "20.png" not in message
    assert "; and 6 more." in message
    assert message.endswith("data.undecodable=skip.")
    assert "\n" not in message


def test_undecodable_images_are_skipped_on_request_and_labels_stay_aligned(ready: Prepare) -> None:
    images = ready(Counting(200, bad=(0, 7, 128, 129, 199)), undecodable="skip")
    kept = [index for index in range(200) if index not in (0, 7, 128, 129, 199)]
    assert images.pixels[:, 0, 0, 0].tolist() == kept
    assert images.labels is not None
    assert images.labels.tolist() == [index % 2 for index in kept]
    assert images.skipped == ("00000.png", "00007.png", "00128.png", "00129.png", "00199.png")


def test_a_pack_with_undecodable_images_is_an_error_until_skipping_is_asked_for(tmp_path: Path) -> None:
    source = Counting(10, bad=(3,), log=tmp_path / "log")
    options: dict[str, Any] = {"image_size": (8, 8), "image_channels": 1, "memory_budget_mib": 0, "cache_dir": tmp_path}
    for _ in range(2):
        with pytest.raises(GanlabError, match=r"1 of 10 images cannot be decoded: 00003\.png \(no picture\)"):
            prepare(source, **options)
    assert len(prepare(source, undecodable="skip", **options)) == 9
    assert (tmp_path / "log").stat().st_size == 10


@pytest.mark.parametrize("undecodable", ["error", "skip"])
def test_a_set_without_one_sound_image_is_an_error(tmp_path: Path, undecodable: str) -> None:
    for budget in (0, 100):
        with pytest.raises(GanlabError, match=r"2 of 2 images .* Is data\.path the right one\?"):
            prepare(
                Counting(2, bad=(0, 1)),
                image_size=(8, 8),
                image_channels=1,
                memory_budget_mib=budget,
                undecodable=undecodable,
                cache_dir=tmp_path,
            )


def test_a_damaged_member_of_an_archive_is_named(ready: Prepare, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for level in range(3):
            archive.writestr(f"{level}.png", encoded(level))
    damaged = bytearray((tmp_path / "a.zip").read_bytes())
    damaged[damaged.index(b"1.png") + 30] ^= 255
    (tmp_path / "a.zip").write_bytes(damaged)
    with pytest.raises(GanlabError, match=r"1 of 3 images cannot be decoded: 1\.png \(Bad CRC-32"):
        ready(Zip(str(tmp_path / "a.zip")))


def test_a_link_to_nowhere_is_named(ready: Prepare, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(1))
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(GanlabError, match=r"1 of 2 images cannot be decoded: b\.png"):
        ready(Folder(str(tmp_path)))


def test_names_that_are_no_utf8_can_be_printed(ready: Prepare, tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff.png", "wb") as file:
        file.write(b"text")
    with pytest.raises(GanlabError) as caught:
        ready(Folder(str(tmp_path)))
    str(caught.value).encode("utf-8")


def test_memory_stays_bounded_while_decoding(ready: Prepare) -> None:
    """The set takes 48 MiB; beside the result, no more than a few chunks of 4 MiB may be alive.

    torch's own memory is not traced, so what is measured is everything but the result.
    """
    tracemalloc.start()
    ready(Counting(1000, size=16), image_size=(128, 128), image_channels=3, num_workers=2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30 * 2**20


def test_what_is_alive_does_not_grow_with_the_set() -> None:
    """A slow consumer must not make the threads run ahead."""
    source = Counting(64 * 100)
    asked: list[int] = []

    def image(index: int) -> np.ndarray:
        asked.append(index)
        return np.zeros((8, 8), np.uint8)

    source.image = image  # type: ignore[method-assign]
    chunks = decode(source, (8, 8), 1, num_workers=2)
    next(chunks)
    time.sleep(0.2)
    chunks.close()  # type: ignore[attr-defined]
    assert len(asked) <= 64 * 6


class Wrong(Counting):
    """A plug-in's set with a mistake."""

    def __init__(self, labels: np.ndarray) -> None:
        super().__init__(4)
        self.labels = labels


@pytest.mark.parametrize("labels", [np.zeros(3, int), np.zeros((4, 2), int), np.zeros(4), np.array([0, 1, 2, 0])])
def test_wrong_labels_of_a_plug_in_are_refused(ready: Prepare, labels: np.ndarray) -> None:
    with pytest.raises(GanlabError, match=r"The data set Wrong .* its author must correct this"):
        ready(Wrong(labels))


def test_a_set_of_length_zero_is_an_error(ready: Prepare) -> None:
    with pytest.raises(GanlabError, match="has no images"):
        ready(Counting(0))


def test_a_set_without_labels_gives_none(ready: Prepare, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(1))
    images = ready(Folder(str(tmp_path)))
    assert (images.labels, images.num_classes) == (None, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_size": (0, 8)},
        {"image_size": (8,)},
        {"image_channels": 4},
        {"memory_budget_mib": -1},
        {"memory_budget_mib": float("nan")},
        {"undecodable": "ignore"},
        {"num_workers": -1},
    ],
)
def test_options_out_of_range_are_refused(
    wrong: dict[str, float] | dict[str, int] | dict[str, str] | dict[str, tuple[int, int]] | dict[str, tuple[int]],
) -> None:
    options: dict[str, Any] = {"image_size": (8, 8), "image_channels": 1, "memory_budget_mib": 100, **wrong}
    with pytest.raises(ValueError, match=next(iter(wrong))):
        prepare(Digits(), **options)


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GANLAB_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "ganlab"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/ganlab")
    monkeypatch.setenv("GANLAB_CACHE", "~/mine")
    assert cache_folder() == tmp_path / "mine"
    assert cache_folder("/chosen") == Path("/chosen")
