"""Checks that augmentations make of a game and of images."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.contracts.game import Game
from ganlab.core.errors import GanlabError
from ganlab.layers.shift import mirrored_index


def channels_seen(game: Game, name: str) -> int:
    """Channels of the images that the game's discriminator sees.

    Raises:
        GanlabError: If they are no images of 1 or 3 channels; ``name`` is that of the augmentation.
    """
    networks = [getattr(game, network, None) for network in ("discriminator", "generator")]
    shape = next((s for s in (getattr(n, "image_shape", None) for n in networks) if s is not None), None)
    if shape is None or len(shape) != 3 or shape[0] not in (1, 3):
        found = "nothing that says its image_shape" if shape is None else f"samples of shape {tuple(shape)}"
        raise GanlabError(f"augment={name} changes images (C, H, W) with 1 or 3 channels, and this game has {found}.")
    return int(shape[0])


def reflected(images: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    """``images`` mirrored at their outermost pixels, as often as it takes to fill the margins."""
    height, width = images.shape[2:]
    rows = mirrored_index(torch.arange(-top, height + bottom, device=images.device), height)
    columns = mirrored_index(torch.arange(-left, width + right, device=images.device), width)
    return images.index_select(2, rows).index_select(3, columns)
