"""Resampling with small filters: a blur, and doubling and halving that blur."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlab.core.errors import one_of

RESAMPLINGS = ("same", "up", "down")


class FIRFilter(nn.Module):
    """A separable filter over each channel, at the same size, to the double or to half of it.

    Along each axis, with taps f of sum 1, K of them, and zeros around the map:

    - ``same``: out[o] = Σₖ f[k]·x[o + k − ⌊K/2⌋]
    - ``up``: out[o] = 2 Σₖ f[k]·z[o + k − ⌊(K+1)/2⌋], z being x with a zero after each pixel
    - ``down``: out[o] = Σₖ f[k]·x[2o + k − ⌊(K−1)/2⌋]

    Each is one depthwise convolution: ``up`` a transposed one, which multiplies with no zeros, ``down`` one of
    stride 2, which makes no pixel that is dropped. ``same`` of [1, 2, 1] is StyleGAN's blur (Karras et al. 2019,
    arXiv:1812.04948, sec. 2). With [1, 3, 3, 1] ``up`` and ``down`` are those of StyleGAN2 (Karras et al. 2020,
    arXiv:1912.04958, app. B), and with [1, 1] nearest upsampling and 2×2 average pooling.

    Args:
        taps: f, two numbers or more; divided by their sum, which is not 0.
        resample: ``same``, ``up`` or ``down``.
        padding: Of ``same``: zeros before and after the map, instead of those that keep its size.
        gain: The sum of the taps of an axis.

    Shape: (B, C, H, W) -> (B, C, H, W), (B, C, 2H, 2W) or (B, C, H/2, W/2).

    Raises:
        ValueError: If the taps or the kind of resampling cannot be.
    """

    kernel: Tensor

    def __init__(
        self,
        taps: Sequence[float] = (1, 2, 1),
        resample: str = "same",
        padding: tuple[int, int] | None = None,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        one_of(resample, RESAMPLINGS, "resample")
        if len(taps) < 2 or not math.isfinite(sum(taps)) or sum(taps) == 0:
            raise ValueError(f"expected taps to be two numbers or more whose sum is not 0, got {list(taps)}")
        self.resample = resample
        self.padding = (len(taps) // 2, (len(taps) - 1) // 2) if padding is None else padding
        f = torch.tensor([float(tap) for tap in taps])
        f = f * (gain * (2.0 if resample == "up" else 1.0) / f.sum())
        self.register_buffer("kernel", torch.outer(f, f)[None, None], persistent=False)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Filter ``x``; a ``bias`` (C,) is added on the way."""
        channels, taps = x.shape[1], self.kernel.shape[-1]
        kernel = self.kernel.expand(channels, -1, -1, -1)
        if self.resample == "up":
            # out[o] = Σᵢ x[i] f[2i − o + ⌊(K+1)/2⌋]: the kernel from behind, and one pixel too many if K is odd
            padding = taps - 1 - (taps + 1) // 2
            out = F.conv_transpose2d(x, kernel.flip(2, 3), bias, stride=2, padding=padding, groups=channels)
            return out[:, :, : 2 * x.shape[2], : 2 * x.shape[3]] if taps % 2 else out
        if self.resample == "down":
            before, after, stride = (taps - 1) // 2, (taps - 2) // 2, 2
        else:
            (before, after), stride = self.padding, 1
        if before == after:
            return F.conv2d(x, kernel, bias, stride=stride, padding=before, groups=channels)
        return F.conv2d(F.pad(x, (before, after) * 2), kernel, bias, stride=stride, groups=channels)
