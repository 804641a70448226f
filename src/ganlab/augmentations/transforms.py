"""The transformations of ADA as functions of images and of one parameter an image, in their published order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from ganlab.augmentations.images import reflected
from ganlab.augmentations.warp import rotation, scaling, translation, warp
from ganlab.layers.constants import constant

Parameters = Mapping[str, Tensor]

GEOMETRY = ("xflip", "rotate90", "xint", "scale", "rotate", "aniso", "xfrac")
COLOR = ("brightness", "contrast", "lumaflip", "hue", "saturation")
BANDS = 4
# the filter of Daubechies' wavelet with 2 vanishing moments (sym2), in closed form
SYM2 = tuple((a + b * math.sqrt(3)) / (4 * math.sqrt(2)) for a, b in ((1, -1), (3, -1), (3, 1), (1, 1)))


def transformed(images: Tensor, parameters: Parameters, *, fixed_margins: bool = False) -> Tensor:
    """``images`` (B, C, H, W) after the transformations that ``parameters`` names, (B, ...) each:

    ========== ======= ==============================================================
    xflip      (B,)    1: mirrored left to right
    rotate90   (B,)    quarter turns
    xint       (B, 2)  translation by whole pixels, as shares of width and height
    scale      (B,)    factor
    rotate     (B, 2)  angles before and after ``aniso``, in radians
    aniso      (B,)    factor on the width, and 1/factor on the height
    xfrac      (B, 2)  translation, as shares of width and height
    brightness (B,)    added
    contrast   (B,)    factor
    lumaflip   (B,)    1: reflected at the plane of colours without luma
    hue        (B,)    angle around the luma axis, in radians; needs 3 channels
    saturation (B,)    factor on what is not luma; needs 3 channels
    imgfilter  (B, 4)  amplification of each band of frequencies, from the lowest
    noise      (B, 1 + C·H·W)  standard deviation, and N(0, 1) for every number of the image
    cutout     (B, 3)  side of the hole, its middle's x and y, as shares of width and height
    ========== ======= ==============================================================

    ``fixed_margins`` is `warp`'s.
    """
    if any(name in parameters for name in GEOMETRY):
        images = warp(images, inverse_geometry(parameters, images), fixed_margins=fixed_margins)
    if any(name in parameters for name in COLOR):
        images = recolored(images, color_matrix(parameters, images))
    if "imgfilter" in parameters:
        images = amplified(images, parameters["imgfilter"])
    if "noise" in parameters:
        sigma, noise = parameters["noise"].split([1, images[0].numel()], 1)
        images = images + (sigma * noise).view(images.shape)  # (B, C, H, W)
    if "cutout" in parameters:
        images = cut(images, *parameters["cutout"].unbind(1))
    return images


def inverse_geometry(parameters: Parameters, images: Tensor) -> Tensor:
    """The (B, 3, 3) matrix from output to input pixels: transformations act on the output one after the other."""
    height, width = images.shape[2:]
    matrix = torch.eye(3, device=images.device, dtype=images.dtype)
    if "xflip" in parameters:
        sign = 1 - 2 * parameters["xflip"]
        matrix = matrix @ scaling(sign, torch.ones_like(sign))
    if "rotate90" in parameters:
        matrix = matrix @ rotation(math.pi / 2 * parameters["rotate90"])
    if "xint" in parameters:
        x, y = parameters["xint"].unbind(1)
        matrix = matrix @ translation(-(x * width).round(), -(y * height).round())
    if "scale" in parameters:
        matrix = matrix @ scaling(1 / parameters["scale"], 1 / parameters["scale"])
    if "rotate" in parameters:
        matrix = matrix @ rotation(parameters["rotate"][:, 0])
    if "aniso" in parameters:
        matrix = matrix @ scaling(1 / parameters["aniso"], parameters["aniso"])
    if "rotate" in parameters:
        matrix = matrix @ rotation(parameters["rotate"][:, 1])
    if "xfrac" in parameters:
        x, y = parameters["xfrac"].unbind(1)
        matrix = matrix @ translation(-x * width, -y * height)
    return matrix


def color_matrix(parameters: Parameters, images: Tensor) -> Tensor:
    """The (B, 4, 4) matrix that acts on homogeneous colours (r, g, b, 1)."""
    eye = torch.eye(4, device=images.device, dtype=images.dtype)
    axis = constant([1.0, 1, 1, 0], images) / math.sqrt(3)
    luma = torch.outer(axis, axis)
    rgb = torch.diag(constant([1.0, 1, 1, 0], images))
    matrix = eye
    if "brightness" in parameters:
        last = constant([[0.0, 0, 0, 1]] * 3 + [[0.0] * 4], images)  # the column that adds, for r, g and b
        matrix = (eye + parameters["brightness"].view(-1, 1, 1) * last) @ matrix  # (B, 4, 4)
    if "contrast" in parameters:
        matrix = (eye + (parameters["contrast"].view(-1, 1, 1) - 1) * rgb) @ matrix
    if "lumaflip" in parameters:
        matrix = (eye - 2 * parameters["lumaflip"].view(-1, 1, 1) * luma) @ matrix
    if images.shape[1] == 1:  # grey has neither hue nor saturation
        return matrix
    if "hue" in parameters:
        angle = parameters["hue"].view(-1, 1, 1)  # (B, 1, 1)
        a = 1 / math.sqrt(3)
        turn = constant([[0.0, -a, a, 0], [a, 0.0, -a, 0], [-a, a, 0.0, 0], [0.0, 0, 0, 0]], images)
        # Rodrigues' formula: the axis stays, the rest turns
        matrix = (luma + angle.cos() * (rgb - luma) + angle.sin() * turn + eye - rgb) @ matrix
    if "saturation" in parameters:
        # the last coordinate is scaled as well, as published; nothing reads it any more
        matrix = (luma + (eye - luma) * parameters["saturation"].view(-1, 1, 1)) @ matrix
    return matrix


def recolored(images: Tensor, matrix: Tensor) -> Tensor:
    """Colours after an affine (B, 4, 4) or (4, 4) matrix; grey images take the mean of its rows."""
    matrix = matrix.expand(len(images), 4, 4)
    if images.shape[1] == 1:
        row = matrix[:, :3].mean(1)
        return images * row[:, :3].sum(1).view(-1, 1, 1, 1) + row[:, 3].view(-1, 1, 1, 1)  # (B, 1, H, W)
    colors = matrix[:, :3, :3] @ images.flatten(2) + matrix[:, :3, 3:]  # (B, 3, H·W)
    return colors.unflatten(2, images.shape[2:])  # (B, 3, H, W)


def amplified(images: Tensor, gains: Tensor) -> Tensor:
    """Bands of frequencies times (B, 4) gains, each of them divided so that images of spectrum 1/f keep their power."""
    batch, channels, height, _ = images.shape
    power = constant([10, 1, 1, 1], images) / 13
    total = torch.ones_like(gains)
    for band in range(BANDS):
        one = torch.cat([torch.ones_like(gains[:, :band]), gains[:, band : band + 1]], 1)
        one = F.pad(one, (0, BANDS - 1 - band), value=1.0)
        total = total * one / (power * one.square()).sum(1, keepdim=True).sqrt()
    taps = total @ constant(filter_bank(), images)  # (B, taps)
    reach = taps.shape[1] // 2
    taps = taps.repeat_interleave(channels, 0)[:, None, None]  # (B·C, 1, 1, taps)
    x = reflected(images, reach, reach, reach, reach).reshape(1, batch * channels, height + 2 * reach, -1)
    x = F.conv2d(x, taps, groups=batch * channels)  # (1, B·C, H + 2·reach, W)
    x = F.conv2d(x, taps.transpose(2, 3), groups=batch * channels)  # (1, B·C, H, W)
    return x.view(images.shape)  # (B, C, H, W)


@cache
def filter_bank() -> list[list[float]]:
    """Four symmetric filters, from the lowest band of frequencies to the highest, whose sum is 1.

    The lowest three are built level by level: what there is, stretched by 2, through H(z) H(1/z) / 2, beside the
    new highest band H(-z) H(-1/z) / 2. Source: Karras et al. 2020 (arXiv:2006.06676), appendix B.
    """
    low = _autocorrelation(SYM2)
    high = _autocorrelation([tap * (-1) ** i for i, tap in enumerate(SYM2)])
    bank = [[1.0]] + [[0.0]] * (BANDS - 1)
    for level in range(1, BANDS):
        bank = [_convolved([tap for t in row for tap in (t, 0.0)][:-1], low) for row in bank]
        start = (len(bank[0]) - len(high)) // 2
        for i, tap in enumerate(high):
            bank[level][start + i] += tap
    return bank


def cut(images: Tensor, size: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A rectangle of ``size`` of both sides around (x, y), all (B,) shares of the sides, becomes 0."""

    def inside(side: int, middle: Tensor) -> Tensor:
        place = (torch.arange(side, device=images.device) + 0.5) / side
        return (place - middle[:, None]).abs() < size[:, None] / 2

    hole = inside(images.shape[2], y)[:, :, None] & inside(images.shape[3], x)[:, None, :]
    return images.masked_fill(hole[:, None], 0)


def _convolved(a: Sequence[float], b: Sequence[float]) -> list[float]:
    found = [0.0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            found[i + j] += x * y
    return found


def _autocorrelation(taps: Sequence[float]) -> list[float]:
    return [value / 2 for value in _convolved(taps, taps[::-1])]
