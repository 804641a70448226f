"""The real images of one iteration, from the loader's bytes or points to what networks see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

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
        alpha: Share of a growing game's newest level, with which images fade in too.

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
        alpha: float = 1.0,
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

    def points(self, micro: int, size: int, stream: Stream, dtype: torch.dtype) -> Points:
        """Micro-batch ``micro`` of the current real images, as floats in [-1, 1]."""
        images, labels = self.images[self._current], self.labels[self._current]
        assert images is not None
        start = micro * (len(images) // self.accumulate)
        images = images[start : start + size]
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
        return Points(images, labels[start : start + size] if labels is not None else None, "real")
