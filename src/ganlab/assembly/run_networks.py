"""The networks of a configuration, and what it leaves to the data and to them. Lightning is not imported here."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from ganlab.assembly import game, own_networks, run_data
from ganlab.config import schema
from ganlab.config.component import Component
from ganlab.config.configuration import Config
from ganlab.contracts.dataset import Dataset
from ganlab.core import code_files, kinds
from ganlab.core.errors import GanlabError


def opened(config: Config) -> dict[str, nn.Module]:
    """The networks of a run by their kinds, for which the data set is opened but no image decoded.

    Raises:
        GanlabError: As `ganlab.assembly.experiment.build`.
    """
    return of(completed(config)[0])


def completed(config: Config) -> tuple[Config, Dataset]:
    """The configuration with its unset options filled from the data set and the networks, and the data set.

    Raises:
        GanlabError: If the data cannot be opened, or data and networks do not fit; no image is decoded.
    """
    source = run_data.source(config)
    makers = {kind: part.maker for kind, part in config.roles(kinds.networks()).items()}
    sizes = {kind: network.image_sizes for kind, network in makers.items() if hasattr(network, "image_sizes")}
    labelled = [makers[kind] for kind in kinds.labelled(makers)]
    conditional = all("num_classes" in schema.takes(network) for network in labelled)
    return run_data.complete(config, source, image_sizes=sizes, conditional=conditional), source


def of(config: Config) -> dict[str, Any]:
    """The networks of a complete configuration by their kinds.

    Raises:
        GanlabError: If an option is out of range, or one cannot take the labels.
    """
    built: dict[str, Any] = {}
    for kind, part in config.roles(kinds.networks()).items():
        given = _given(part, config, getattr(built.get("generator"), "latent_dim", 0))
        built[kind] = game.with_seed(config, kind, partial(part.make, **given))
    of_files = {kind for kind in built if code_files.split(config[kind].name) is not None}
    return own_networks.fitted(built, of_files, config.data.shape, config.data.classes) if of_files else built


def _given(part: Component, config: Config, latent_dim: int) -> dict[str, Any]:
    data = config.data
    values = {
        "image_size": data.image_size,
        "image_channels": data.image_channels,
        "num_classes": data.num_classes,
        "latent_dim": latent_dim,
    }
    taken = schema.takes(part.maker).intersection(kinds.given(part.kind))
    if data.num_classes and "num_classes" not in taken and part.kind in kinds.labelled(config.components):
        raise GanlabError(
            f"{part.maker.__name__} takes no class labels, but data.num_classes={data.num_classes}: "
            f"set data.num_classes=0 for an unconditional model."
        )
    return {name: value for name, value in values.items() if name in taken}
