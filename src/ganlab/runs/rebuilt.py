"""The generator of an export, built from its description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ganlab.assembly import own_networks
from ganlab.config import component, schema
from ganlab.core import code_files
from ganlab.core.errors import GanlabError
from ganlab.layers.folding import fold


def generator(about: Any) -> Any:
    """Build the generator of a description, folded, with fresh weights.

    Raises:
        GanlabError: If the component is not installed, or its options are wrong.
    """
    part = component.checked("generator", "generator", about.generator)
    size = about.image_size
    values = {
        "image_size": size[0] if size[0] == size[1] else tuple(size),
        "image_channels": about.image_shape[0],
        "num_classes": about.num_classes,
    }
    taken = schema.takes(part.maker)
    with torch.random.fork_rng(devices=[]):
        network = part.make(**{name: value for name, value in values.items() if name in taken})
    if code_files.split(part.name) is not None:  # it may be called as (z)
        network = own_networks.generator(network, None, about.num_classes)
        if isinstance(network, own_networks.OwnGenerator):
            network.image_shape = tuple(about.image_shape)
    fold(network)
    return network.requires_grad_(False)


def refuse_other_weights(about: Any, weights: Mapping[str, Tensor], where: object) -> None:
    """Compare weights with a generator that has shapes alone, before one of any size is made.

    Raises:
        GanlabError: If they do not fit.
    """
    try:
        with torch.device("meta"):
            expected = generator(about).state_dict()
    except Exception:  # it says so when it is built; or a network of a user's own looks at numbers on the way
        return
    for name in [*expected, *weights]:
        if name not in weights or name not in expected:
            wrong = "is missing" if name in expected else "is no part of it"
        elif weights[name].shape != expected[name].shape:
            wrong = f"is {tuple(weights[name].shape)} and must be {tuple(expected[name].shape)}"
        else:
            continue
        raise GanlabError(f"The weights in {where} are not of its generator: {name} {wrong}.")
