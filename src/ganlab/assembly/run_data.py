"""The data of a run: open the set, fill in unset options from it, prepare and split its images."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ganlab.assembly import point_check
from ganlab.config import schema
from ganlab.config.configuration import Config
from ganlab.config.sections import DataOptions
from ganlab.contracts.dataset import Dataset
from ganlab.contracts.point_set import PointSet
from ganlab.core.errors import GanlabError, sentence
from ganlab.data.headers import look
from ganlab.data.prepare import Images, prepare
from ganlab.data.run_images import RunData
from ganlab.data.splits import split
from ganlab.evaluation import protocol

LARGEST_SIZE = 64  # largest default of data.image_size, in pixels
MOST_SIZE = 1024  # where the search for a size that networks allow ends
SHOWN_IMAGES, SHOWN_POINTS = 100, 2000  # defaults of sample.count


def open_data(config: Config) -> RunData:
    """The data of a configuration without its networks: at the size that it says, or else the images' own.

    Raises:
        GanlabError: If the data cannot be read, or its images have many sizes and none is chosen.
    """
    found = source(config)
    return prepared(complete(config, found), found)


def source(config: Config) -> Dataset:
    """The data set that a configuration names; no image is decoded.

    Raises:
        GanlabError: If its options are wrong, or it cannot be read.
    """
    found: Dataset = config["data"].make()
    return found


def complete(
    config: Config,
    source: Dataset,
    *,
    image_sizes: Mapping[str, Container[int]] | None = None,
    conditional: bool = True,
) -> Config:
    """Fill in the options that are unset from data and networks: size, channels, classes, held-out share, metrics, the
    number of samples that are shown.

    Args:
        image_sizes: The sides of squares that each of the networks allows, by its kind, as far as they say so. Of these
            ``data.image_size=null`` is the largest that the images have and that is at most `LARGEST_SIZE`, or else
            the next larger one; if no network says anything, the images keep their own size.
        conditional: Whether the networks take class labels.

    Raises:
        GanlabError: If data and networks cannot be brought together.
    """
    if isinstance(source, PointSet):
        point_check.refuse(config, source, image_sizes or {})
    elif config.data.image_channels not in (None, 1, 3):
        raise GanlabError(f"data.image_channels must be 1 or 3, got {config.data.image_channels}.")
    data, chosen = config.data, config["data"].name
    size, channels, classes = data.image_size, data.image_channels, data.num_classes
    if size is None:
        size = _side(image_sizes.values(), look(source).short_side) if image_sizes else source.native_size
        if size is None:
            raise GanlabError("The images have many sizes: say which one to train on, as data.image_size=64.")
    if classes is None:
        classes = source.num_classes if conditional else 0
    elif classes > 0 and source.num_classes != classes:
        has = f"{source.num_classes} classes" if source.num_classes else "no labels"
        raise GanlabError(
            f"data.num_classes={classes}, but the data set {chosen!r} has {has}: "
            f"leave data.num_classes out, or set it to 0 for an unconditional model."
        )
    if not isinstance(size, int):
        size = size[0] if size[0] == size[1] else (size[0], size[1])
    shown = SHOWN_POINTS if isinstance(source, PointSet) else SHOWN_IMAGES
    return replace(
        config,
        data=replace(
            data,
            image_size=size,
            image_channels=source.native_channels if channels is None else channels,
            num_classes=classes,
            held_out=source.held_out if data.held_out is None else data.held_out,
        ),
        sample=replace(config.sample, count=config.sample.count or shown),
        evaluate=replace(config.evaluate, metrics=protocol.metrics_of(config)),
    )


def _side(image_sizes: Collection[Container[int]], short_side: int | None) -> int:
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
    """Refuse a configuration whose data options are not filled in.

    Raises:
        GanlabError: If one is missing.
    """
    missing = [key for key in ("image_size", "image_channels", "num_classes") if getattr(config.data, key) is None]
    if missing:
        raise GanlabError(f"The configuration is not complete: data.{missing[0]} is missing.")


def prepared(config: Config, source: Dataset) -> RunData:
    """The images of ``source`` as a complete configuration wants them.

    Raises:
        GanlabError: If they cannot be decoded, or an option is out of range.
    """
    data = config.data
    channels, height, width = data.shape
    assert data.held_out is not None
    try:
        images = prepare(
            source,
            image_size=(height, width),
            image_channels=channels,
            memory_budget_mib=data.memory_budget_mib,
            undecodable=data.undecodable,
        )
    except ValueError as error:
        raise GanlabError(f"data: {sentence(error)}") from error
    splits = split(len(images), data.held_out, images.things)
    return RunData(images, splits, partial(_fingerprint, source, data), source)


def _fingerprint(source: Dataset, data: DataOptions) -> str:
    size = schema.plain(data.image_size)
    return " ".join(map(str, (source.fingerprint(), size, data.image_channels, data.held_out, data.undecodable)))


def label_shares(config: Config, images: Images | None, splits: Mapping[str, Tensor]) -> Tensor | None:
    """Return the shares (K,) of the classes that fakes get: those of the training images, or equal ones without images.

    None: the networks take no labels.
    """
    classes = config.data.classes
    if not classes:
        return None
    if images is None or images.labels is None:
        return torch.full((classes,), 1 / classes)
    counts = torch.bincount(images.labels[splits["train"]], minlength=classes).float()
    return counts / counts.sum()
