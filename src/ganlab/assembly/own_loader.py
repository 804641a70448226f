"""Batches of a loader of one's own, as the engine reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ganlab.core import distributed
from ganlab.core.errors import GanlabError

IMAGES = ("image", "images", "x", "img", "pixel_values", "input", "inputs", "data")
LABELS = ("label", "labels", "y", "target", "targets", "class")
Read = dict[str, Tensor | None]


class Reading:
    """Reads batches, and keeps them until there are as many as an iteration takes.

    Args:
        num_classes: Classes that networks know; 0: labels are left out.
        what: What the batches come from, for messages.
    """

    def __init__(self, num_classes: int, what: str = "the DataLoader") -> None:
        self.num_classes, self.what = num_classes, what
        self.kept: list[Read] = []
        self._looked = False

    def read(self, batch: Any) -> Read:
        """Return ``images`` and ``labels`` of a batch: a tensor, (x, y), or a dictionary of them. No device is waited
        for: this is called before a batch is moved.

        Raises:
            GanlabError: If it is none of these, its images are no numbers in [-1, 1] or bytes, or a label is missing or
                of no class.
        """
        images, labels = self._parts(batch)
        if not isinstance(images, Tensor) or images.ndim < 2:
            raise GanlabError(
                f"A batch of {self.what} must be a tensor (B, ...), a pair (x, y) or a dictionary with 'image' and "
                f"'label'; got {_is(batch)}."
            )
        if not len(images):
            raise GanlabError(f"A batch of {self.what} is empty.")
        if images.dtype is not torch.uint8:
            if not images.is_floating_point():
                raise GanlabError(f"Images must be uint8 or floats in [-1, 1], got {images.dtype}.")
            if not self._looked:
                self._refuse_other_range(images)
        self._looked = True
        return {"images": images, "labels": self._labels(labels, len(images)) if self.num_classes else None}

    def take(self, batch: Read, needed: int) -> list[Read] | None:
        """Return the batches of an iteration, when this one is the last of them.

        Args:
            needed: How many it takes.
        """
        self.kept.append(batch)
        if len(self.kept) < needed:
            return None
        found, self.kept = self.kept, []
        return found

    def _parts(self, batch: Any) -> tuple[Any, Any]:
        if isinstance(batch, Tensor):
            return batch, None
        if isinstance(batch, Mapping):
            images, labels = (next((batch[n] for n in names if n in batch), None) for names in (IMAGES, LABELS))
            if images is None:
                keys = ", ".join(map(repr, batch)) or "none"
                raise GanlabError(f"A batch of {self.what} has no 'image' among its keys, which are {keys}.")
            return images, labels
        if isinstance(batch, Sequence) and not isinstance(batch, str) and batch:
            return batch[0], batch[1] if len(batch) > 1 else None
        return None, None

    def _labels(self, labels: Any, count: int) -> Tensor:
        if labels is None:
            raise GanlabError(
                f"The networks take labels of {self.num_classes} classes, and {self.what} gives none: give (x, y), or "
                f"a dictionary with 'label'."
            )
        found = torch.as_tensor(labels).reshape(-1)
        if len(found) != count or found.is_floating_point():
            raise GanlabError(f"Labels must be {count} whole numbers, one an image, got {_is(labels)}.")
        if found.device.type == "cpu" and not 0 <= int(found.min()) <= int(found.max()) < self.num_classes:
            wrong = int(found.max()) if int(found.max()) >= self.num_classes else int(found.min())
            raise GanlabError(f"Labels must be from 0 to {self.num_classes - 1}, as num_classes says; got {wrong}.")
        return found.long()

    def _refuse_other_range(self, images: Tensor) -> None:
        low, high = (float(x) for x in images.aminmax())
        if not (low >= -1.001 and high <= 1.001) and images.ndim == 4:
            raise GanlabError(
                f"Float images must be in [-1, 1], and {self.what} gives {low:.3g} to {high:.3g}: give uint8, or "
                f"x / 127.5 - 1 of bytes, or (x - 0.5) / 0.5 of numbers in [0, 1]."
            )


def iteration(
    batches: Sequence[Read], dtype: torch.dtype, accumulate: int = 1
) -> tuple[dict[str, list[Tensor | None]], list[int]]:
    """Return the batches of one iteration as the engine reads them, and their global sizes.

    Args:
        dtype: Of images that are floats.
        accumulate: Batches of the loader that are micro-batches of one. If one of them is short, all are cut alike, and
            the images that are left over, fewer than ``accumulate``, are left out.
    """
    groups = [batches[at : at + accumulate] for at in range(0, len(batches), accumulate)]
    images = [_joined([batch["images"] for batch in group]) for group in groups]
    labels = [_joined([batch["labels"] for batch in group]) for group in groups]
    found: dict[str, list[Tensor | None]] = {"images": [], "labels": labels}
    sizes = []
    for x in images:
        assert x is not None
        found["images"].append(x if x.dtype is torch.uint8 else x.to(dtype))
        sizes.append((len(x) - len(x) % accumulate) * distributed.world_size())
    return found, sizes


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    return parts[0] if len(parts) == 1 or parts[0] is None else torch.cat([x for x in parts if x is not None])


def _is(found: Any) -> str:
    return (
        f"a tensor {tuple(found.shape)} of {found.dtype}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
    )
