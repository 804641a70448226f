"""Progressive GAN of pytorch_GAN_zoo: one file with both networks, the average, and the configuration they had.

Its alpha is the share of the older level. Files of its first version lack the ``module`` in names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ganlab.core.errors import GanlabError
from ganlab.importers.growing import Renaming, widths
from ganlab.importers.network import Network, Tensors, side

NAME = "gan_zoo"
ROLES = {"netG": "generator", "netD": "discriminator", "avgG": "average"}
ALPHA = "config.alpha"
# What ours has no option for: configuration -> the value that it has to have.
NEEDED = {"leakyReluLeak": 0.2, "perChannelNormalization": True, "equalizedlR": True}


class Configuration:
    """Replaces the class of its configuration object: a set of plain values."""


STAND_INS = ((Configuration, "models.utils.config.BaseConfig"),)


def networks(content: Any) -> dict[str, dict[str, Tensor]] | None:
    """The tensors of each network in a file, by role; None if it is none of theirs.

    Raises:
        GanlabError: If its configuration is one that no Progressive GAN of ours has.
    """
    if not isinstance(content, Mapping) or not {"netG", "netD"} & content.keys():
        return None
    found = {ROLES[key]: content[key] for key in ROLES if isinstance(content.get(key), Mapping)}
    every = [pair for tensors in found.values() for pair in tensors.items()]
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in every):
        return None
    found = {of: {name.replace(".module.", "."): v for name, v in tensors.items()} for of, tensors in found.items()}
    if any(role(tensors) is None for tensors in found.values()):
        return None
    values = vars(content["config"]) if isinstance(content.get("config"), Configuration) else {}
    for name, needed in NEEDED.items():
        if values.get(name, needed) != needed:
            raise GanlabError(f"Its configuration has {name}={values[name]}; only {needed} can be imported.")
    if values.get("lossCriterion", "WGANGP") not in ("WGANGP", "Logistic"):
        raise GanlabError(f"Its generator ends in tanh (lossCriterion={values['lossCriterion']}); ours has none there.")
    if len(values.get("attribKeysOrder") or ()) > 1:
        raise GanlabError("Its networks are conditional on several attributes; one, as classes, can be imported.")
    alpha = torch.tensor(float(values.get("alpha", 0.0)))
    return {of: {**tensors, ALPHA: alpha} for of, tensors in found.items()}


def role(tensors: dict[str, Tensor]) -> str | None:
    if "formatLayer.weight" in tensors:
        return "generator"
    return "discriminator" if "decisionLayer.weight" in tensors else None


def classes(discriminator: Tensors) -> int:
    return discriminator["decisionLayer.weight"].shape[0] - 1


def generator(tensors: Tensors) -> Network:
    renaming, count = Renaming(tensors), _levels(tensors)
    _layer(renaming, "formatLayer", "dense")
    _layer(renaming, "groupScale0.0", "conv")
    for i in range(count):
        _layer(renaming, f"scaleLayers.{i}.0", f"ups.{i}")
        _layer(renaming, f"scaleLayers.{i}.1", f"convs.{i}")
    for i in range(count + 1):
        _layer(renaming, f"toRGBLayers.{i}", f"to_image.{i}")
    _set_level(renaming, count)
    shapes = [renaming.state[f"to_image.{i}.weight"].shape for i in range(count + 1)]
    rows, latent_dim = renaming.state["dense.weight"].shape
    base = side(rows // shapes[0][1], "formatLayer")
    options: dict[str, object] = {**widths([shape[1] for shape in shapes], tensors.source), "variant": "gan_zoo"}
    options["latent_dim"] = latent_dim - tensors.classes
    return renaming.network("pggan", options, (base * 2**count, shapes[0][0], tensors.classes))


def discriminator(tensors: Tensors, image: tuple[int, int, int]) -> Network:
    renaming, count = Renaming(tensors), _levels(tensors)
    for i in range(count):
        _layer(renaming, f"scaleLayers.{i}.0", f"convs.{i}")
        _layer(renaming, f"scaleLayers.{i}.1", f"downs.{i}")
    for i in range(count + 1):
        _layer(renaming, f"fromRGBLayers.{i}", f"from_image.{i}")
    _layer(renaming, "groupScaleZero.0", "conv")
    _layer(renaming, "groupScaleZero.1", "dense")
    _layer(renaming, "decisionLayer", "output")
    _set_level(renaming, count)
    channels = [renaming.state[f"from_image.{i}.weight"].shape[0] for i in range(count + 1)]
    options: dict[str, object] = {**widths(channels, tensors.source), "variant": "gan_zoo"}
    if renaming.state["conv.weight"].shape[1] == channels[0]:
        options["stddev_group"] = 0
    return renaming.network("pggan", options, image)


def _levels(tensors: Tensors) -> int:
    count = tensors.count(r"scaleLayers\.(\d+)\.")
    if count == 0:
        raise GanlabError(f"{tensors.source} has not grown yet: networks of 8 pixels and more can be imported.")
    return count


def _layer(renaming: Renaming, theirs: str, ours: str) -> None:
    for name in ("weight", "bias"):
        renaming.take(f"{theirs}.{name}", f"{ours}.{name}")


def _set_level(renaming: Renaming, count: int) -> None:
    renaming.set_level("", count, 1.0 - float(renaming.tensors[ALPHA]), ALPHA)
