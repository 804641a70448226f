"""Unset options are filled in from data and networks, and set ones are kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ganlab.assembly import run_data
from ganlab.config import compose, configuration, schema
from ganlab.config.configuration import Config
from ganlab.contracts.dataset import Dataset
from ganlab.core.errors import GanlabError
from ganlab.data.headers import look
from ganlab.layers.geometry import ANY, Doublings


class Birds(Dataset):
    """Three grey images with two classes."""

    labels = np.array([0, 1, 1])
    class_names: tuple[str, ...] = ("robin", "wren")
    native_size: tuple[int, int] | None = (6, 6)
    native_channels = 1
    held_out = 0.25

    def __len__(self) -> int:
        return 3

    def image(self, index: int) -> np.ndarray:
        return np.full((6, 6), index, dtype=np.uint8)

    def fingerprint(self) -> str:
        return "birds"


class Crowd(Birds):
    """Images of many sizes."""

    native_size = None


OPEN: dict[str, Any] = {"image_size": None, "image_channels": None, "num_classes": None, "held_out": None}


def completed(source: Dataset | None = None, networks: dict[str, Any] | None = None, **data: Any) -> dict[str, Any]:
    given = with_data(seed=3, **data)
    networks = dict(networks or {})
    if "image_sizes" in networks:
        networks["image_sizes"] = {f"network {i}": sizes for i, sizes in enumerate(networks["image_sizes"])}
    found = run_data.complete(given, source or Birds(), **networks)
    assert given == with_data(seed=3, **data)
    assert found.seed == 3
    return {key: schema.plain(getattr(found.data, key)) for key in OPEN}


def with_data(seed: int = 0, **data: Any) -> Config:
    composed = compose.composed(["data=digits", f"seed={seed}"])
    return configuration.checked({**composed, "data": {**composed["data"], **data}})


@pytest.mark.parametrize(
    ("networks", "data", "expected"),
    [
        ({}, {}, {"image_size": 6, "image_channels": 1, "num_classes": 2, "held_out": 0.25}),
        ({"image_sizes": [Doublings()]}, {}, {"image_size": 8}),
        ({"image_sizes": [Doublings()]}, {"image_size": 32}, {"image_size": 32}),
        ({"image_sizes": [Doublings()]}, {"image_size": [32, 16]}, {"image_size": [32, 16]}),
        ({"image_sizes": [Doublings()]}, {"image_size": (32, 32)}, {"image_size": 32}),
        ({"conditional": False}, {}, {"num_classes": 0}),
        ({}, {"num_classes": 0}, {"num_classes": 0}),
        ({}, {"image_channels": 3, "held_out": 0.0}, {"image_channels": 3, "held_out": 0.0}),
    ],
)
def test_what_is_left_open_comes_from_the_data_and_the_networks(
    networks: dict[str, Any], data: dict[str, Any], expected: dict[str, Any]
) -> None:
    found = completed(networks=networks, **data)
    assert {key: found[key] for key in expected} == expected


class Photos(Birds):
    """Twenty images, of which two are small."""

    native_size = None
    labels = np.zeros(20, dtype=np.int64)
    class_names = ("photo",)

    def __len__(self) -> int:
        return 20

    def image(self, index: int) -> np.ndarray:
        return np.zeros((5, 7) if index < 2 else (600, 800 + index), dtype=np.uint8)


class Undecodable(Birds):
    """Images that cannot be opened."""

    native_size = None

    def image(self, index: int) -> np.ndarray:
        raise OSError("damaged")


@pytest.mark.parametrize(
    ("size", "networks", "expected"),
    [
        ((600, 800), [Doublings()], 64),  # at most 64
        ((28, 28), [Doublings()], 28),  # 7 doubled twice
        ((50, 90), [Doublings(), ANY], 48),  # the shorter side counts, and what all of them allow
        ((28, 28), [Doublings(3)], 32),  # none so small: the next larger one
        ((8, 8), [Doublings(3), Doublings()], 32),
        ((8, 8), [], (8, 8)),
        ((600, 800), [(128, 256)], 128),  # above 64 where a network can do nothing else
        ((600, 800), [ANY], 64),
        ((37, 37), [ANY], 37),
        ((600, 800), [{16, 32, 48}, range(8, 40)], 32),  # any containers of a plug-in's
    ],
)
def test_the_size_is_the_largest_that_the_networks_allow_and_the_images_have(
    size: tuple[int, int], networks: list[Any], expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Birds, "native_size", size)
    found = completed(networks={"image_sizes": networks})["image_size"]
    assert found == (expected if isinstance(expected, int) else expected[0])  # type: ignore[index]


def test_of_images_of_many_sizes_nine_in_ten_are_not_enlarged() -> None:
    assert completed(Photos(), {"image_sizes": [Doublings()]})["image_size"] == 64
    found = look(Photos())
    assert (found.sizes[0], found.sizes[-1], found.short_side) == ((5, 7), (600, 819), 600)


def test_the_size_of_images_that_cannot_be_opened_is_the_smallest() -> None:
    assert completed(Undecodable(), {"image_sizes": [Doublings()]})["image_size"] == 8


def test_networks_without_a_size_in_common_are_refused() -> None:
    with pytest.raises(GanlabError, match="no image size in common"):
        completed(networks={"image_sizes": [{24}, {16}]})


def test_sizes_that_are_no_container_are_refused() -> None:
    with pytest.raises(
        GanlabError, match=r"image_sizes must be a container of numbers, such as range\(8, 129\), got 8"
    ):
        completed(networks={"image_sizes": [8]})


def test_images_of_many_sizes_need_one_unless_the_networks_say_it() -> None:
    with pytest.raises(GanlabError, match=r"say which one to train on, as data\.image_size=64"):
        completed(Crowd())
    assert completed(Crowd(), {"image_sizes": [Doublings()]})["image_size"] == 8


def test_classes_that_the_data_does_not_have_are_refused() -> None:
    with pytest.raises(GanlabError, match=r"'digits' has 2 classes: leave data\.num_classes out, or set it to 0"):
        completed(num_classes=5)


def test_a_configuration_without_its_data_must_be_complete() -> None:
    run_data.refuse_incomplete(with_data(image_size=8, image_channels=1, num_classes=0))
    with pytest.raises(GanlabError, match=r"not complete: data\.num_classes is missing"):
        run_data.refuse_incomplete(with_data(image_size=8, image_channels=1))


def test_the_fingerprint_is_of_the_images_as_they_are_prepared_and_split() -> None:
    def fingerprint(**data: Any) -> str:
        return run_data.open_data(with_data(**data)).fingerprint

    assert fingerprint() == fingerprint(mirror=True)
    changes = ({"image_size": 16}, {"image_channels": 3}, {"held_out": 0.1}, {"undecodable": "skip"})
    assert len({fingerprint(), *(fingerprint(**change) for change in changes)}) == 5
