"""StyleGAN2 of rosinality's stylegan2-pytorch: one .pt file with g, d and g_ema, or that of its convert_weight.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.importers.growing import Renaming, taps, widths
from ganlab.importers.network import Network, Tensors
from ganlab.layers.mapping import MappingNetwork

NAME = "rosinality"
ROLES = {"g": "generator", "d": "discriminator", "g_ema": "average"}
MEAN = "latent_avg"
COMMON = ("width", "max_width", "taps")
UP = 4.0  # its filters that follow a doubling have the sum 4


class Arguments:
    """Replaces the class of its command line's arguments: a set of plain values."""


STAND_INS = ((Arguments, "argparse.Namespace"),)


def networks(content: Any) -> dict[str, dict[str, Tensor]] | None:
    if not isinstance(content, Mapping):
        return None
    found = {ROLES[key]: dict(content[key]) for key in ROLES if isinstance(content.get(key), Mapping)}
    if not found or any(role(tensors) != of.replace("average", "generator") for of, tensors in found.items()):
        return None
    if isinstance(content.get(MEAN), Tensor):
        for of in found.keys() - {"discriminator"}:
            found[of][MEAN] = content[MEAN]
    return found


def role(tensors: dict[str, Tensor]) -> str | None:
    if {"input.input", "conv1.conv.modulation.weight"} <= tensors.keys():
        return "generator"
    return "discriminator" if {"convs.0.0.weight", "final_linear.1.weight"} <= tensors.keys() else None


def generator(tensors: Tensors) -> Network:
    renaming = Renaming(tensors)
    count = tensors.count(r"to_rgbs\.(\d+)\.")
    renaming.take("input.input", "synthesis.const", lambda value: value.squeeze(0))
    mapping = tensors.places(r"style\.(\d+)\.weight")
    for i, place in enumerate(mapping):
        _both(renaming, f"style.{place}", f"mapping.layers.{i}")
    for i in range(2 * count + 1):
        _layer(renaming, f"convs.{i - 1}" if i else "conv1", f"synthesis.layers.{i}")
        renaming.take(f"noises.noise_{i}", f"synthesis.layers.{i}.noise.fixed")
    for i in range(count + 1):
        at = f"to_rgbs.{i - 1}" if i else "to_rgb1"
        _modulated(renaming, f"{at}.conv", f"synthesis.to_image.{i}.conv")
        renaming.take(f"{at}.bias", f"synthesis.to_image.{i}.bias", lambda value: value.reshape(-1))
    w_dim, latent_dim = tensors[f"style.{mapping[-1]}.weight"].shape[0], tensors[f"style.{mapping[0]}.weight"].shape[1]
    if MEAN in tensors:
        renaming.take(MEAN, "w_avg", lambda value: value.reshape(-1))
    else:
        renaming.state["w_avg"] = _mean(renaming, len(mapping), latent_dim, w_dim)
    options = _options(renaming, [tensors["input.input"].shape[1]] + [
        renaming.state[f"synthesis.layers.{2 * i + 2}.conv.weight"].shape[0] for i in range(count)
    ], UP)  # fmt: skip
    options |= {"latent_dim": latent_dim, "w_dim": w_dim, "mapping_layers": len(mapping)}
    return renaming.network("stylegan2", options, (4 * 2**count, 3, 0), COMMON)


def discriminator(tensors: Tensors, image: tuple[int, int, int]) -> Network:
    renaming = Renaming(tensors)
    count = tensors.count(r"convs\.(\d+)\.") - 1
    _conv(renaming, "convs.0", 0, "from_image.0")
    channels = [tensors["final_conv.0.weight"].shape[0]]
    for level in range(1, count + 1):
        at, ours = f"convs.{count + 1 - level}", f"blocks.{level - 1}"
        _conv(renaming, f"{at}.conv1", 0, f"{ours}.conv1")
        _conv(renaming, f"{at}.conv2", 1, f"{ours}.conv2")
        renaming.take(f"{at}.skip.1.weight", f"{ours}.skip.weight")
        channels.append(len(tensors[f"{at}.conv1.0.weight"]))
    _conv(renaming, "final_conv", 0, "conv")
    for i, ours in enumerate(("dense", "output")):
        _both(renaming, f"final_linear.{i}", ours)
    return renaming.network("stylegan2", _options(renaming, channels, 1.0), image, COMMON)


def _mean(renaming: Renaming, layers: int, latent_dim: int, w_dim: int) -> Tensor:
    """The mean of w, which these files need not have: over as many latents as the code's own ``mean_latent`` takes."""
    mapping = MappingNetwork(latent_dim, 0, w_dim, layers=layers, width=w_dim, version=2)
    prefix = "mapping."
    state = {name.removeprefix(prefix): v for name, v in renaming.state.items() if name.startswith(prefix)}
    mapping.load_state_dict(state)
    with torch.no_grad():
        return mapping(torch.randn(4096, latent_dim, generator=torch.Generator().manual_seed(0))).mean(0)


def _options(renaming: Renaming, channels: list[int], gain: float) -> dict[str, Any]:
    tensors = renaming.tensors
    filters = {name: value for name, value in tensors.items() if re.search(r"(blur|upsample|\.0)\.kernel$", name)}
    renaming.ignore(*filters)
    if not filters or len(channels) < 2:
        raise GanlabError(f"{tensors.source} has one level: networks of 8 pixels and more can be imported.")
    kernels = [value / gain for value in filters.values()]
    return {**widths(channels, tensors.source), "taps": taps(kernels, tensors.source)}


def _both(renaming: Renaming, theirs: str, ours: str) -> None:
    for name in ("weight", "bias"):
        renaming.take(f"{theirs}.{name}", f"{ours}.{name}")


def _conv(renaming: Renaming, theirs: str, place: int, ours: str) -> None:
    """Take a convolution of a sequence, and the bias of its activation, which follows."""
    renaming.take(f"{theirs}.{place}.weight", f"{ours}.weight")
    renaming.take(f"{theirs}.{place + 1}.bias", f"{ours}.bias")


def _modulated(renaming: Renaming, theirs: str, ours: str) -> None:
    renaming.take(f"{theirs}.weight", f"{ours}.weight", lambda value: value.squeeze(0))
    _both(renaming, f"{theirs}.modulation", f"{ours}.affine")


def _layer(renaming: Renaming, theirs: str, ours: str) -> None:
    _modulated(renaming, f"{theirs}.conv", f"{ours}.conv")
    renaming.take(f"{theirs}.noise.weight", f"{ours}.noise.weight")
    renaming.take(f"{theirs}.activate.bias", f"{ours}.bias")
