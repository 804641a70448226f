"""The real images of one iteration, from the loader's bytes or points to what networks see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ganlab.contracts.plan import Slot
from ganlab.contracts.points import Points
from ganlab.core.randomness import Stream
from ganlab.layers.growing import blend_reals

Batch = Mapping[str, Sequence[Tensor | None]]


def as_seen(images: Tensor, like: Tensor) -> Tensor:
    """Return images as networks see them, on the device and of the dtype of ``like``: bytes x as x/127.5 - 1, points as
    they are."""
    x = images.to(like.device, like.dtype)
    return x if images.is_floating_point() else x / 127.5 - 1


class Reals:
    """The real images of one iteration, as the loader delivered them.

    Args:
        batch: For each turn that takes new ones: ``images`` (B, C, H, W), uint8 or floats, and ``labels``.
        accumulate: Micro-batches that each of them is cut into.
        channels_last: Memory format of what networks see.
        mirror: Whether half of the images are flipped.
        dequantize: Bytes x become (x + u)/128 - 1 with u ~ U[0, 1), a density, instead of x/127.5 - 1.
        alpha: Share of a growing game's newest level, with which images fade in too; a tensor without dimensions where
            it changes between replays of a recording.

    Attributes:
        carried: For each micro-batch what a turn leaves for a later turn of the iteration, see `View`.
    """

    def __init__(
        self,
        batch: Batch,
        *,
        accumulate: int = 1,
        channels_last: bool = True,
        mirror: bool = False,
        dequantize: bool = False,
        alpha: float | Tensor = 1.0,
    ) -> None:
        self.images, self.labels = batch["images"], batch["labels"]
        self.accumulate, self.channels_last, self.mirror = accumulate, channels_last, mirror
        self.dequantize, self.alpha = dequantize, alpha
        self.carried: defaultdict[int, dict[str, Tensor]] = defaultdict(dict)
        self._current = -1

    def next(self) -> None:
        self._current += 1

    def rewind(self) -> None:
        self._current = -1

    def taken_by(self, slots: Sequence[Slot]) -> tuple[list[Tensor | None], list[Tensor | None]]:
        """Return the images and the labels that slots read: those of one turn that is next, or of a whole iteration."""
        if len(slots) > 1:
            return list(self.images), list(self.labels)
        if slots[0].turn.reals is None:
            return [], []
        at = self._current + slots[0].fresh
        return [self.images[at]], [self.labels[at]]

    def fixed_for(self, slots: Sequence[Slot], device: torch.device) -> Reals:
        """Return copies of what slots read, ready for them.

        Args:
            device: Where they are played.
        """
        images, labels = ([None if t is None else t.clone() for t in given] for given in self.taken_by(slots))
        fixed = Reals(
            {"images": images, "labels": labels},
            accumulate=self.accumulate,
            channels_last=self.channels_last,
            mirror=self.mirror,
            dequantize=self.dequantize,
            alpha=torch.full((), float(self.alpha), dtype=torch.float64, device=device) if self.fades else 1.0,
        )
        fixed._current = -1 if len(slots) > 1 or slots[0].fresh else 0
        for micro, carried in self.carried.items():
            fixed.carried[micro] = {name: t.clone() for name, t in carried.items()}
        return fixed

    def copy_from(self, reals: Reals, slots: Sequence[Slot]) -> None:
        """Copy images, labels and alpha of others, of which these are `fixed_for` the slots."""
        images, labels = reals.taken_by(slots)
        for mine, theirs in zip([*self.images, *self.labels], [*images, *labels], strict=True):
            if mine is not None and theirs is not None:
                mine.copy_(theirs, non_blocking=True)
        if isinstance(self.alpha, Tensor):
            self.alpha.fill_(reals.alpha)

    @property
    def fades(self) -> bool:
        """Tell if images are blended with those of the level below."""
        return isinstance(self.alpha, Tensor) or self.alpha < 1

    def points(self, micro: int, size: int, stream: Stream, dtype: torch.dtype) -> Points:
        """Micro-batch ``micro`` of the current real images, as floats in [-1, 1]."""
        images, labels = self.images[self._current], self.labels[self._current]
        assert images is not None
        start = micro * (len(images) // self.accumulate)
        images = images[start : start + size].to(stream.device, non_blocking=True)  # where no Trainer has moved them
        if images.dtype is torch.uint8:
            channels_last = self.channels_last and images.ndim == 4
            memory_format = torch.channels_last if channels_last else torch.contiguous_format
            if self.dequantize:  # in float32 at least: bfloat16 does not tell 200 from 200.4
                wide = torch.promote_types(dtype, torch.float32)
                noise = stream.draw_on_rank("dequantization", images.shape, "uniform")
                images = images.to(dtype=wide, memory_format=memory_format).add_(noise).mul_(1 / 128).sub_(1).to(dtype)
            else:
                images = images.to(dtype=dtype, memory_format=memory_format).mul_(1 / 127.5).sub_(1)
        else:
            images = images.to(dtype)
        if images.ndim == 4:
            images = blend_reals(images, self.alpha)
        if self.mirror:
            flip = stream.draw("mirror", (len(images),), "uniform") < 0.5
            images = torch.where(flip.view(-1, 1, 1, 1), images.flip(3), images)  # (B, C, H, W)
        if labels is not None:
            labels = labels[start : start + size].to(stream.device, non_blocking=True)
        return Points(images, labels, "real")
