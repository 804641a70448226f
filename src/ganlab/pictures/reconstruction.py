"""Reconstructions: images that an encoder encodes and the generator decodes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.data.folder import Folder
from ganlab.data.pixels import eight_bit, pixels
from ganlab.runs.run import Run
from ganlab.runs.sampler import Sampler
from ganlab.sampling import generation


def pairs(run: Sampler, folder: str, count: int, labels: int | Sequence[int] | None = None) -> tuple[Tensor, int]:
    """Return the first images of a folder, each with its reconstruction G(E(x)), and an even number of columns.

    The encoder gives the mean of the code; both networks are the averaged ones.

    Args:
        run: With a game that has an encoder.
        folder: Of images, cropped and shrunk as for training.
        count: At most so many.
        labels: Of a conditional run: one class for all or one for each image; None: the folder's own classes.

    Raises:
        GanlabError: If the game has no encoder, or the images or their classes do not fit.
    """
    if not isinstance(run, Run):
        raise GanlabError(f"{run.folder} is an export, which has no encoder: give kind=reconstruction the run.")
    path = run.module.game.encodes
    if path is None:
        game = run.config["game"].typed
        raise GanlabError(
            f"{game} has no encoder, so {run.folder} cannot reconstruct images: train with one, as game=bigan."
        )
    originals, own = read_folder(run, folder, count)
    chosen = own if labels is None else labels
    if run.num_classes and chosen is None:
        raise GanlabError(
            f"The model has {run.num_classes} classes and {folder} has not: say which, one for all images or one for "
            f"each, as labels=0."
        )
    encoder = run.module.average.get_submodule(path)
    classes = run.labels(chosen, len(originals), seed=0)
    with torch.no_grad():
        like = next(encoder.parameters())
        codes = [encoder(part.to(like))[0] for part in originals.split(64)]
    images = generation.generate(run.generator, torch.cat(codes).cpu(), classes)
    together = torch.stack([originals, images.clamp(-1, 1)], 1).flatten(0, 1)  # (2N, C, H, W), in pairs
    return together, 2 * math.ceil(math.sqrt(len(originals) / 2))


def read_folder(run: Sampler, folder: str, count: int, exact: bool = False) -> tuple[Tensor, list[int] | None]:
    """Images (N, C, H, W) in [-1, 1] and their classes, if the folder has as many as the model.

    Args:
        exact: Refuse images that are smaller than the model's, or in colour where those are grey.
    """
    if not os.path.isdir(os.path.expanduser(folder)):
        raise GanlabError(f"images={folder}: there is no such folder.")
    try:
        source = Folder(folder)
    except (GanlabError, ValueError) as error:
        raise GanlabError(f"images={folder}: {error}".replace("data.path", "images")) from error
    channels, *shape = run.generator.image_shape
    made = []
    for index in range(min(count, len(source))):
        if exact:
            _refuse_unlike(source, index, folder, run.generator.image_shape)
        try:
            made.append(pixels(source.image(index), (shape[0], shape[1]), channels))
        except Exception as error:  # whatever Pillow finds wrong with a file
            raise GanlabError(f"images={folder}: {source.name(index)} cannot be read: {error}.") from error
    if not made:
        raise GanlabError(f"images={folder} has no images.")
    known = source.labels is not None and source.num_classes == run.num_classes
    labels = [int(label) for label in source.labels[: len(made)]] if known and source.labels is not None else None
    return torch.from_numpy(np.stack(made)).float().div(127.5).sub(1), labels


def _refuse_unlike(source: Folder, index: int, folder: str, shape: Sequence[int]) -> None:
    channels, height, width = shape
    try:
        image = eight_bit(source.image(index))
    except Exception as error:  # whatever Pillow finds wrong with a file
        raise GanlabError(f"images={folder}: {source.name(index)} cannot be read: {error}.") from error
    if image.height < height or image.width < width:
        raise GanlabError(
            f"images={folder}: {source.name(index)} has {image.width} x {image.height} pixels, and the model makes "
            f"{width} x {height}: give images of at least that size."
        )
    if channels == 1 and image.mode != "L":
        raise GanlabError(
            f"images={folder}: {source.name(index)} is in colour, and the model makes grey images: give grey ones."
        )
