"""Minibatch standard deviation: more channels that say how much images of a group differ."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganlab.core import distributed
from ganlab.core.checks import at_least
from ganlab.core.errors import one_of
from ganlab.layers import state

VARIANTS = ("original", "gan_zoo")
EPS = 1e-8


class MinibatchStddev(nn.Module):
    """Appends a channel: for each group of G images, the mean over channels and positions of √(var over the group + ε).

    With ``channels`` = F it appends F: the means over each of F consecutive parts of the channels, as StyleGAN2's code
    can (``mbstd_num_channels``).

    Images of all ranks belong to one batch; under accumulation that is one micro-batch. In a pass over fakes and reals
    at once (``game.one_pass``) no group has both. ``original``: image i of N is
    in group i mod N/G, and the variance is biased. ``gan_zoo``: groups are consecutive, the variance is unbiased, and
    the channel is 0 for a single image.

    Source: Karras et al. 2018 (arXiv:1710.10196), sec. 3, where a group is the whole batch; groups as in the authors'
    code. That takes only batches that G divides, or smaller ones as one group. Here a group is otherwise as many images
    as the smallest divisor of N above G, and in ``gan_zoo``, as there, the whole batch.

    Args:
        group_size: G.
        variant: ``original`` or ``gan_zoo``, which has one channel.
        channels: F, which divides C.

    Shape: (B, C, H, W) -> (B, C + F, H, W).

    Raises:
        ValueError: If ``group_size`` is below 2, ``channels`` below 1, or the variant unknown.
    """

    def __init__(self, group_size: int = 4, variant: str = "original", channels: int = 1) -> None:
        super().__init__()
        one_of(variant, VARIANTS, "variant")
        self.channels = at_least("channels", channels, 1)
        self.group_size, self.variant = at_least("group_size", group_size, 2), variant

    def forward(self, x: Tensor) -> Tensor:
        deviations = [self._deviation(batch) for batch in state.batches(x)]
        own = (deviations[0] if len(deviations) == 1 else torch.cat(deviations)).to(x.dtype)[:, :, None, None]
        return torch.cat([x, own.expand(-1, -1, *x.shape[2:])], 1)

    def _deviation(self, x: Tensor) -> Tensor:
        everyone = distributed.gather(x)
        wide = everyone.float() if x.dtype in (torch.bfloat16, torch.float16) else everyone
        group = self._group(len(wide))
        if self.variant == "original":
            groups = wide.unflatten(0, (group, -1))  # (G, N/G, C, H, W)
            parts = (groups.var(0, correction=0) + EPS).sqrt().unflatten(1, (self.channels, -1))  # (N/G, F, C/F, H, W)
            deviation = parts.mean((2, 3, 4)).repeat(group, 1)
        elif group == 1:
            deviation = wide.new_zeros(len(wide), 1)
        else:
            groups = wide.unflatten(0, (-1, group))  # (N/G, G, C, H, W)
            deviation = (groups.var(1, correction=1) + EPS).sqrt().mean((1, 2, 3)).repeat_interleave(group)[:, None]
        return distributed.own(deviation)

    def _group(self, batch: int) -> int:
        if self.variant == "gan_zoo":
            return self.group_size if batch % self.group_size == 0 else batch
        return next(g for g in range(min(self.group_size, batch), batch + 1) if batch % g == 0)
