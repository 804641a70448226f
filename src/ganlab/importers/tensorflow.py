"""Names and layouts of variables, for importers of the original Progressive GAN and StyleGAN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.importers.growing import Renaming, widths
from ganlab.importers.network import Network, Tensors

BASE = 4


def dense(weight: Tensor) -> Tensor:
    return weight.t()


def conv(weight: Tensor) -> Tensor:
    return weight.permute(3, 2, 0, 1)  # height, width, in, out


def flipped_conv(weight: Tensor) -> Tensor:
    return conv(weight).flip(2, 3)


def levels(tensors: Tensors, prefix: str = "") -> int:
    """Levels above 4×4 by the largest ``NxN/`` among the names."""
    size = tensors.count(rf"{prefix}(\d+)x\d+/") - 1
    found = round(math.log2(size / BASE)) if size >= BASE else 0
    if size != BASE * 2**found or found < 1:
        raise GanlabError(f"{tensors.source} has layers of {size}x{size}, which is no power of two of at least 8.")
    return found


def layer(renaming: Renaming, theirs: str, ours: str, layout: Callable[[Tensor], Tensor]) -> None:
    """Weight and bias of a layer."""
    renaming.take(f"{theirs}/weight", f"{ours}.weight", layout)
    renaming.take(f"{theirs}/bias", f"{ours}.bias")


def set_level(renaming: Renaming, prefix: str, count: int) -> None:
    """The variable lod counts levels from the top: in (k, k + 1) level ``count − k`` fades in."""
    lod = min(max(float(renaming.tensors["lod"]), 0.0), float(count))
    below = math.floor(lod)
    renaming.set_level(prefix, count - below, 1.0 - (lod - below) if below < count else 1.0, "lod")


def discriminator(component: str, tensors: Tensors, image: tuple[int, int, int]) -> Network:
    """The discriminator, which has the same names in both codes."""
    count = levels(tensors)
    renaming, fused = Renaming(tensors), "8x8/Conv1/weight" not in tensors
    for i in range(count):
        at = f"{BASE * 2 ** (i + 1)}x{BASE * 2 ** (i + 1)}"
        layer(renaming, f"{at}/Conv0", f"convs.{i}", conv)
        layer(renaming, f"{at}/{'Conv1_down' if fused else 'Conv1'}", f"downs.{i}", conv)
    for i in range(count + 1):
        layer(renaming, f"FromRGB_lod{count - i}", f"from_image.{i}", conv)
    layer(renaming, "4x4/Conv", "conv", conv)
    layer(renaming, "4x4/Dense0", "dense", dense)
    layer(renaming, "4x4/Dense1", "output", dense)
    set_level(renaming, "", count)
    channels = [renaming.state[f"from_image.{i}.weight"].shape[0] for i in range(count + 1)]
    options: dict[str, Any] = widths(channels, tensors.source, renaming.state["dense.weight"].shape[0])
    if renaming.state["conv.weight"].shape[1] == channels[0]:
        options["stddev_group"] = 0
    if not fused:
        options["fused"] = False
    return renaming.network(component, options, image)
