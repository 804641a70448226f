"""Splits: images to train on, to choose a checkpoint by, and to report on."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.core import randomness
from ganlab.core.errors import GanlabError

SPLITS = ("train", "validation", "test")
_SEED = 0  # the same for every run: what one was trained on must not report on another


def split(count: int, held_out: float, things: str = "images") -> dict[str, Tensor]:
    """Rows of each split of a set of ``count`` images, int64 and ascending; disjoint, together all of them.

    Validation gets half of the share ``held_out``, test the other half. The split of an image depends on ``count``
    alone, and a larger share only adds to what is held out. ``things`` is what they are called in the message.

    Raises:
        GanlabError: If a split that was asked for would be empty.
    """
    each = int(count * held_out / 2)
    if held_out and (each == 0 or 2 * each >= count):
        share = f"give a share between {2 / count:.2g} and 1, or 0" if count > 2 else "give 0"
        raise GanlabError(
            f"data.held_out={held_out:g} of {count:,} {things} leaves a split empty: {share} to train on all of them."
        )
    order = torch.randperm(count, generator=randomness.generator("cpu", _SEED, "splits", count))
    rows = {"train": order[2 * each :], "validation": order[: 2 * each : 2], "test": order[1 : 2 * each : 2]}
    return {name: chosen.sort().values for name, chosen in rows.items()}
