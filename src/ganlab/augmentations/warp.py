"""Geometric transformations of images by matrices, with an orthogonal wavelet's filters against aliasing."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ganlab.augmentations.images import reflected
from ganlab.layers.constants import constant

# The scaling filter of Daubechies' least asymmetric wavelet with 6 vanishing moments (sym6), which has no closed form.
SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
_REACH = len(SYM6) // 4  # half the filter's reach, in pixels before doubling


def translation(x: Tensor, y: Tensor) -> Tensor:
    """(B, 3, 3) matrices that add (x, y) to homogeneous points."""
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return _matrix([[one, zero, x], [zero, one, y], [zero, zero, one]])


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """(B, 3, 3) matrices that multiply points by (x, y)."""
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return _matrix([[x, zero, zero], [zero, y, zero], [zero, zero, one]])


def rotation(angle: Tensor) -> Tensor:
    """(B, 3, 3) matrices that turn points by ``angle``, from the first axis to the second."""
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    c, s = angle.cos(), angle.sin()
    return _matrix([[c, -s, zero], [s, c, zero], [zero, zero, one]])


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def warp(images: Tensor, inverse: Tensor, *, fixed_margins: bool = False) -> Tensor:
    """Each output pixel takes the value of the input at ``inverse`` @ pixel, around the middle of the image.

    The image is mirrored at its border as far as needed, doubled by the wavelet's filter, sampled
    bilinearly, and halved by the filter again; what lies further outside than one mirror image is 0.

    Source: Karras et al. 2020 (arXiv:2006.06676), appendix B.

    Args:
        images: (B, C, H, W).
        inverse: (B, 3, 3), from output to input, in pixels (x to the right, y down).
        fixed_margins: True: the image is mirrored by one image on each side, whatever was drawn, and nothing waits for
            the device: the same numbers up to rounding, of 9 times the area. False: as far as the transformations
            reach, which is 1.4 to 5 times the area from 32 pixels on.
    """
    batch, channels, height, width = images.shape
    margins = [width - 1, height - 1] * 2 if fixed_margins else _margins(inverse, height, width).tolist()
    left, top, right, bottom = margins
    images = doubled(reflected(images, left, right, top, bottom))

    def moved(x: float, y: float) -> Tensor:
        return constant([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]], inverse)

    def stretched(x: float, y: float) -> Tensor:
        return constant([[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]], inverse)

    inverse = moved((left - right) / 2, (top - bottom) / 2) @ inverse
    # doubling puts the origin half a pixel of the finer grid away
    inverse = moved(-0.5, -0.5) @ stretched(2, 2) @ inverse @ stretched(0.5, 0.5) @ moved(0.5, 0.5)
    fine_height, fine_width = (2 * (side + 2 * _REACH) for side in (height, width))
    inverse = stretched(2 / images.shape[3], 2 / images.shape[2]) @ inverse @ stretched(fine_width / 2, fine_height / 2)
    grid = F.affine_grid(inverse[:, :2], [batch, channels, fine_height, fine_width], align_corners=False)
    return halved(_Sample.apply(images, grid))


def _margins(inverse: Tensor, height: int, width: int) -> Tensor:
    """Pixels that outputs reach beyond the image to the left, top, right and bottom, in any of the batch; (4,)."""
    x, y = (width - 1) / 2, (height - 1) / 2
    corners = constant([[-x, x, x, -x], [-y, -y, y, y], [1.0] * 4], inverse)
    reached = (inverse @ corners)[:, :2].transpose(0, 1).flatten(1)  # (x and y, B·4)
    low, high = (-reached).amax(1), reached.amax(1)
    beyond = torch.cat([low, high]) + constant([2 * _REACH - x, 2 * _REACH - y] * 2, inverse)
    most = constant([width - 1, height - 1] * 2, inverse)
    return beyond.ceil().clamp(min=0).minimum(most).to(torch.int64)


def doubled(images: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 2H, 2W) by the wavelet's filter, with zeros outside."""
    taps = _taps(images) * 2
    x = images.flatten(0, 1)[:, None]  # (B·C, 1, H, W)
    x = F.conv_transpose2d(x, taps.view(1, 1, 1, -1), stride=(1, 2), padding=(0, len(SYM6) // 2 - 1))
    x = F.conv_transpose2d(x, taps.view(1, 1, -1, 1), stride=(2, 1), padding=(len(SYM6) // 2 - 1, 0))
    return x[:, 0].unflatten(0, images.shape[:2])  # (B, C, H, W)


def halved(images: Tensor) -> Tensor:
    """The reverse of `doubled`, by the mirrored filter, without the ``2 * _REACH`` outermost pixels on each side."""
    taps, crop = _taps(images), 2 * _REACH - (len(SYM6) // 2 - 1)
    x = images[:, :, crop:-crop, crop:-crop].flatten(0, 1)[:, None]  # (B·C, 1, H, W)
    x = F.conv2d(x, taps.view(1, 1, 1, -1), stride=(1, 2))
    x = F.conv2d(x, taps.view(1, 1, -1, 1), stride=(2, 1))
    return x[:, 0].unflatten(0, images.shape[:2])  # (B, C, H, W)


def _taps(like: Tensor) -> Tensor:
    total = math.fsum(SYM6)
    return constant([tap / total for tap in SYM6], like)


class _Sample(torch.autograd.Function):
    """Bilinear samples of images at a constant grid: linear in the images, so both derivatives are itself or its
    adjoint. torch's own has no second derivative before 2.12."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return _Spread.apply(grads[0], grid, ctx.shape), None


class _Spread(torch.autograd.Function):
    """The adjoint of `_Sample`."""

    @staticmethod
    def forward(ctx: Any, samples: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        images = samples.new_zeros(shape)  # only its shape counts
        return torch.ops.aten.grid_sampler_2d_backward(samples, images, grid, 0, 0, False, (True, False))[0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return _Sample.apply(grads[0], grid), None, None
