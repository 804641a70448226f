"""StyleGAN2 of NVIDIA's PyTorch code, StyleGAN2-ADA's and StyleGAN3's repositories: pickles, or state dictionaries.

Pickles say what tensors do not: where maps are clamped, the groups of the minibatch standard deviation, and rates of
the mapping network. For state dictionaries these are the authors' defaults, and options of the command line.
"""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.importers import records
from ganlab.importers.growing import Renaming, taps, widths
from ganlab.importers.network import Network, Tensors
from ganlab.importers.records import Record

NAME = "stylegan2_ada"
COMMON = ("width", "max_width", "taps", "clamp")
CONFIG = "config."  # before the names of numbers that a pickle has beside its tensors
WHOLE_BATCH = 2**20  # a group that no batch is as large as


def role(tensors: dict[str, Tensor]) -> str | None:
    if "synthesis.b4.const" in tensors and "synthesis.b4.conv1.affine.weight" in tensors:
        return "generator"
    return "discriminator" if {"b4.out.weight", "b4.conv.weight", "b8.conv1.weight"} <= tensors.keys() else None


def networks(content: Any) -> dict[str, dict[str, Tensor]] | None:
    """The tensors of each network of a pickle, and numbers of its configuration.

    Raises:
        GanlabError: If it is StyleGAN3's, or a network has what ours has not.
    """
    average = content.get("G_ema") if isinstance(content, dict) else None
    if isinstance(average, Record) and any(name.startswith("synthesis.input.") for name in average.tensors()):
        raise GanlabError("It is a pickle of StyleGAN3, whose networks ganlab does not have; StyleGAN2's are read.")
    found = records.networks(content, role)
    return None if found is None else {of: {**m.tensors(), **_configuration(m)} for of, m in found.items()}


def _configuration(network: Record) -> dict[str, Tensor]:
    """Numbers of its modules, as tensors."""
    numbers: dict[str, set[Any]] = {"clamp": set(), "stddev_group": set(), "mapping_lr": set(), "w_avg_beta": set()}
    for prefix, module in network.modules():
        held = module.content
        if held.get("activation", "linear") not in ("linear", "lrelu"):
            raise GanlabError(f"It has the activation {held['activation']}; only lrelu can be imported.")
        if "conv_clamp" in held and not re.search(r"(^|\.)skip\.$|^b4\.fromrgb\.$", prefix):  # these have none
            numbers["clamp"].add(held["conv_clamp"])
        if prefix == "b4.mbstd.":
            numbers["stddev_group"].add(held.get("group_size") or WHOLE_BATCH)
        if re.fullmatch(r"mapping\.fc\d+\.", prefix):
            numbers["mapping_lr"].add(held.get("bias_gain", 0.01))
        if prefix == "mapping." and held.get("w_avg_beta") is not None:
            numbers["w_avg_beta"].add(held["w_avg_beta"])
    for name, values in numbers.items():
        if len(values) > 1:
            raise GanlabError(f"It has several values of {name}, {sorted(map(str, values))}; ours has one.")
    given = {name: next(iter(values), None) for name, values in numbers.items()}
    return {CONFIG + name: torch.tensor(float(value)) for name, value in given.items() if value is not None}


def generator(tensors: Tensors) -> Network:
    renaming, count = Renaming(tensors), _levels(tensors, r"synthesis\.b(\d+)\.")
    options: dict[str, Any] = {}
    if "mapping.w_avg" in tensors:
        renaming.take("mapping.w_avg", "w_avg")
    else:
        renaming.state["w_avg"] = torch.zeros(tensors["mapping.fc0.weight"].shape[0])
    classes = _mapping(renaming, "mapping.embed")
    layers = tensors.count(r"mapping\.fc(\d+)\.")
    renaming.take("synthesis.b4.const", "synthesis.const")
    noise = "synthesis.b4.conv1.noise_strength" in tensors
    resnet = "synthesis.b8.skip.weight" in tensors
    skip = not resnet and "synthesis.b4.torgb.weight" in tensors
    channels, place = [len(renaming.state["synthesis.const"])], 0
    for level in range(count + 1):
        at = f"synthesis.b{4 * 2**level}"
        for conv in ("conv0", "conv1") if level else ("conv1",):
            _layer(renaming, f"{at}.{conv}", f"synthesis.layers.{place}", noise)
            place += 1
        if level:
            channels.append(len(tensors[f"{at}.conv1.weight"]))
        if resnet and level:
            renaming.take(f"{at}.skip.weight", f"synthesis.skips.{level - 1}.weight")
        if skip or level == count:
            _layer(renaming, f"{at}.torgb", f"synthesis.to_image.{level if skip else 0}", False)
    used = rf"synthesis\.b(?!4\.)\d+\.({'conv0|skip' if resnet else 'conv0'})\.resample_filter"
    used = rf"{used}|synthesis\.b(?!4\.)\d+\.resample_filter" if skip else used
    _filters(renaming, used, options)
    w_dim, latent_dim = renaming.state["synthesis.layers.0.conv.affine.weight"].shape[1], 0
    latent_dim = renaming.state["mapping.layers.0.weight"].shape[1]
    if classes:
        embedded = len(renaming.state["mapping.embedding.weight"])
        latent_dim -= embedded
        options |= {} if embedded == w_dim else {"embedding_dim": embedded}
    between = len(renaming.state["mapping.layers.0.weight"]) if layers > 1 else w_dim
    options |= {**widths(channels, tensors.source), "latent_dim": latent_dim, "w_dim": w_dim, "mapping_layers": layers}
    options |= {} if between == w_dim else {"mapping_width": between}
    options |= {} if noise else {"noise": False}
    options["architecture"] = _architecture(skip, resnet)
    _configured(
        renaming, options, {"clamp": "clamp", "mapping_lr": "mapping_lr_multiplier", "w_avg_beta": "w_avg_beta"}
    )
    colours = len(tensors[f"synthesis.b{4 * 2**count}.torgb.weight"])
    return renaming.network("stylegan2", options, (4 * 2**count, colours, classes), COMMON)


def discriminator(tensors: Tensors, image: tuple[int, int, int]) -> Network:
    renaming, count = Renaming(tensors), _levels(tensors, r"b(\d+)\.")
    options: dict[str, Any] = {}
    skip, resnet = "b4.fromrgb.weight" in tensors, "b8.skip.weight" in tensors
    for level in range(count, -1, -1):
        at = f"b{4 * 2**level}"
        if skip or level == count:
            _both(renaming, f"{at}.fromrgb", f"from_image.{level if skip else 0}")
        if level:
            _both(renaming, f"{at}.conv0", f"blocks.{level - 1}.conv1")
            _both(renaming, f"{at}.conv1", f"blocks.{level - 1}.conv2")
            if resnet:
                renaming.take(f"{at}.skip.weight", f"blocks.{level - 1}.skip.weight")
    for theirs, ours in (("conv", "conv"), ("fc", "dense"), ("out", "output")):
        _both(renaming, f"b4.{theirs}", ours)
    channels = [len(tensors["b4.conv.weight"])]
    channels += [len(tensors[f"b{4 * 2**level}.conv0.weight"]) for level in range(1, count + 1)]
    used = rf"b\d+\.({'conv1|skip' if resnet else 'conv1'})\.resample_filter"
    _filters(renaming, rf"{used}|b\d+\.resample_filter" if skip else used, options)
    options |= {**widths(channels, tensors.source), "architecture": _architecture(skip, resnet)}
    if _mapping(renaming, "mapping.embed"):
        options["mapping_layers"] = tensors.count(r"mapping\.fc(\d+)\.")
        options["embedding_dim"] = len(tensors["b4.out.weight"])
    added = tensors["b4.conv.weight"].shape[1] - channels[0]
    options |= {"stddev_channels": added} if added else {"stddev_group": 0}
    _configured(renaming, options, {"clamp": "clamp", **({"stddev_group": "stddev_group"} if added else {})})
    return renaming.network("stylegan2", options, image, COMMON)


def _architecture(skip: bool, resnet: bool) -> str:
    return next((name for name, has in (("skip", skip), ("resnet", resnet)) if has), "orig")


def _levels(tensors: Tensors, pattern: str) -> int:
    sizes = tensors.places(pattern)
    if sizes != [4 * 2**level for level in range(len(sizes))] or len(sizes) < 2:
        raise GanlabError(f"{tensors.source} has maps of {sizes} pixels; 4 doubled at least once can be imported.")
    return int(math.log2(sizes[-1])) - 2


def _both(renaming: Renaming, theirs: str, ours: str) -> None:
    for name in ("weight", "bias"):
        renaming.take(f"{theirs}.{name}", f"{ours}.{name}")


def _layer(renaming: Renaming, theirs: str, ours: str, noise: bool) -> None:
    """Take a modulated convolution, its bias and its noise."""
    for name in ("weight", "affine.weight", "affine.bias"):
        renaming.take(f"{theirs}.{name}", f"{ours}.conv.{name}")
    renaming.take(f"{theirs}.bias", f"{ours}.bias")
    if noise:
        renaming.take(f"{theirs}.noise_strength", f"{ours}.noise.weight", lambda strength: strength.reshape(1))
        renaming.take(f"{theirs}.noise_const", f"{ours}.noise.fixed", lambda map_: map_[None, None])


def _mapping(renaming: Renaming, embedding: str) -> int:
    """Take the layers of a mapping network; the number of classes."""
    for i in range(renaming.tensors.count(r"mapping\.fc(\d+)\.")):
        _both(renaming, f"mapping.fc{i}", f"mapping.layers.{i}")
    if f"{embedding}.weight" not in renaming.tensors:
        return 0
    _both(renaming, embedding, "mapping.embedding")
    return renaming.state["mapping.embedding.weight"].shape[1]


def _filters(renaming: Renaming, used: str, options: dict[str, Any]) -> None:
    """Make an option of the filters that are used, and leave out the others."""
    every = {name: value for name, value in renaming.tensors.items() if name.endswith("resample_filter")}
    chosen = [value for name, value in every.items() if re.fullmatch(used, name)]
    renaming.ignore(*every)
    if chosen:
        options["taps"] = taps(chosen, renaming.tensors.source)


def _configured(renaming: Renaming, options: dict[str, Any], names: dict[str, str]) -> None:
    """Make options of the numbers of a pickle."""
    for name in [name for name in renaming.tensors if name.startswith(CONFIG)]:
        renaming.ignore(name)
        ours = names.get(name.removeprefix(CONFIG))
        if ours is not None:
            value = float(renaming.tensors[name])
            options[ours] = int(value) if ours == "stddev_group" else round(value, 9)
