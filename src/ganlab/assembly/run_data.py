"""The data of a run: its set opened, what the configuration leaves to it filled in, its images prepared and split."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import partial
from typing import Any

from ganlab.config import run_keys
from ganlab.config.parts import raise_problems, read_part
from ganlab.config.schema import COMPONENT
from ganlab.contracts.dataset import Dataset
from ganlab.core.errors import GanlabError, sentence
from ganlab.data.headers import look
from ganlab.data.prepare import prepare
from ganlab.data.run_images import RunData
from ganlab.data.splits import split

Config = dict[str, Any]

LARGEST_SIZE = 64  # that a run takes by itself, in pixels
MOST_SIZE = 1024  # where the search for a size that networks allow ends
DATA_KEYS = [
    "batch_size",
    "image_size",
    "image_channels",
    "num_classes",
    "mirror",
    "dequantize",
    "held_out",
    "memory_budget_mib",
    "on_device",
    "undecodable",
]  # keys of `data` that are every data set's; the others are the component's own


def open_data(config: Config) -> RunData:
    """The data of a configuration without its networks: at the size that it says, or else the images' own.

    Raises:
        GanlabError: If the data cannot be read, or its images have many sizes and none is chosen.
    """
    run_keys.check(config)
    found = source(config)
    return prepared(complete(config, found), found)


def source(config: Config) -> Dataset:
    """The data set that a configuration names; no image is decoded.

    Raises:
        GanlabError: If its options are wrong, or it cannot be read.
    """
    part = read_part("data", "data", {key: value for key, value in config["data"].items() if key not in DATA_KEYS})
    raise_problems([part])
    return part.make()


def complete(
    config: Config,
    source: Dataset,
    *,
    image_sizes: Sequence[Container[int]] = (),
    conditional: bool = True,
) -> Config:
    """Fill in what the configuration leaves to the data and the networks: size, channels, classes, what is held out.

    Args:
        image_sizes: The sides of squares that each of the networks allows, as far as they say so. Of these
            ``data.image_size=null`` is the largest that the images have and that is at most `LARGEST_SIZE`, or else
            the next larger one; if no network says anything, the images keep their own size.
        conditional: Whether the networks take class labels.

    Raises:
        GanlabError: If data and networks cannot be brought together.
    """
    data = dict(config["data"])
    if data["held_out"] is None:
        data["held_out"] = source.held_out
    if data["image_channels"] is None:
        data["image_channels"] = source.native_channels
    if data["image_size"] is None:
        data["image_size"] = _side(image_sizes, look(source).short_side) if image_sizes else source.native_size
        if data["image_size"] is None:
            raise GanlabError("The images have many sizes: say which one to train on, as data.image_size=64.")
    if data["num_classes"] is None:
        data["num_classes"] = source.num_classes if conditional else 0
    elif data["num_classes"] > 0 and source.num_classes != data["num_classes"]:
        has = f"{source.num_classes} classes" if source.num_classes else "no labels"
        raise GanlabError(
            f"data.num_classes={data['num_classes']}, but the data set {config['data'][COMPONENT]!r} has {has}: "
            f"leave data.num_classes out, or set it to 0 for an unconditional model."
        )
    size = data["image_size"]
    if isinstance(size, (list, tuple)):
        data["image_size"] = size[0] if size[0] == size[1] else list(size)
    return {**config, "data": data}


def _side(image_sizes: Sequence[Container[int]], short_side: int | None) -> int:
    """The largest side that all networks allow and the images have, or the next larger one that they allow."""
    for sizes in image_sizes:
        if not isinstance(sizes, Container):
            raise GanlabError(
                f"A network's image_sizes must be a container of numbers, such as range(8, 129), got {sizes!r}; its "
                f"author can change it. Set data.image_size meanwhile."
            )
    bound = min(short_side or 1, LARGEST_SIZE)
    for side in (*range(bound, 0, -1), *range(bound + 1, MOST_SIZE + 1)):
        if all(side in sizes for sizes in image_sizes):
            return side
    raise GanlabError("The networks have no image size in common: choose others, or set data.image_size.")


def refuse_incomplete(config: Config) -> None:
    """What can only be built of a complete configuration needs these.

    Raises:
        GanlabError: If one is missing.
    """
    missing = [key for key in ("image_size", "image_channels", "num_classes") if config["data"][key] is None]
    if missing:
        raise GanlabError(f"The configuration is not complete: data.{missing[0]} is missing.")


def prepared(config: Config, source: Dataset) -> RunData:
    """The images of ``source`` as a complete configuration wants them.

    Raises:
        GanlabError: If they cannot be decoded, or an option is out of range.
    """
    data = config["data"]
    try:
        images = prepare(
            source,
            image_size=_pair(data["image_size"]),
            image_channels=data["image_channels"],
            memory_budget_mib=data["memory_budget_mib"],
            undecodable=data["undecodable"],
        )
    except ValueError as error:
        raise GanlabError(f"data: {sentence(error)}") from error
    splits = split(len(images), data["held_out"])
    return RunData(images, splits, partial(_fingerprint, source, data), source)


def _fingerprint(source: Dataset, data: Mapping[str, Any]) -> str:
    parts = (data[key] for key in ("image_size", "image_channels", "held_out", "undecodable"))
    return " ".join(map(str, (source.fingerprint(), *parts)))


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
