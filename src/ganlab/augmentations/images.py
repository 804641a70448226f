"""Checks that augmentations make of a game and of images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganlab.contracts.game import Game
from ganlab.core.errors import GanlabError
from ganlab.layers.shift import mirrored_index


def require_images(game: Game, name: str) -> None:
    """Check that the game's discriminator sees images of 1 or 3 channels.

    Raises:
        GanlabError: If it does not; ``name`` is that of the augmentation.
    """
    networks: list[Any] = [getattr(game, network, None) for network in ("discriminator", "generator")]
    known = [network for network in networks if hasattr(network, "image_shape")]
    shape = next((network.image_shape for network in known if network.image_shape is not None), None)
    if shape is None:
        if not known:
            raise GanlabError(
                f"augment={name} changes images (C, H, W) with 1 or 3 channels, and this game has nothing that says "
                f"its image_shape."
            )
        return  # known when images come, see `require_batch`
    _require(tuple(shape), name, "this game has")


def require_batch(images: Tensor, name: str) -> None:
    """Check a batch of images.

    Raises:
        GanlabError: As `require_images`.
    """
    _require(tuple(images.shape[1:]), name, "the discriminator is shown")


def _require(shape: tuple[int, ...], name: str, has: str) -> None:
    if len(shape) != 3 or shape[0] not in (1, 3) or shape[1:] == (1, 1):
        if len(shape) == 3 and shape[1:] == (1, 1):
            raise GanlabError(f"augment={name} changes images, and {has} points: leave it out.")
        raise GanlabError(
            f"augment={name} changes images (C, H, W) with 1 or 3 channels, and {has} samples of shape {shape}."
        )


def reflected(images: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    """``images`` mirrored at their outermost pixels, as often as it takes to fill the margins."""
    height, width = images.shape[2:]
    rows = mirrored_index(torch.arange(-top, height + bottom, device=images.device), height)
    columns = mirrored_index(torch.arange(-left, width + right, device=images.device), width)
    return images.index_select(2, rows).index_select(3, columns)
