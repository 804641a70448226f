"""Configuration -> objects: the only place that builds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from ganlab.assembly import game, own_networks, run_data, size_check
from ganlab.assembly.gan_module import GANModule
from ganlab.config import schema
from ganlab.config.component import Component
from ganlab.config.configuration import Config
from ganlab.contracts.dataset import Dataset
from ganlab.contracts.growth import Growth
from ganlab.core import code_file, kinds
from ganlab.core.errors import GanlabError
from ganlab.data.prepare import Images
from ganlab.data.run_images import RunData
from ganlab.engine.loader import Loader


@dataclass
class Experiment:
    """The objects that a configuration describes.

    Args:
        config: Complete: every option has its final value.
        module: Plays the game.
        images: The prepared data, all splits; None if only the networks were asked for.
        data: All of them, with the labels that the data has, also where the run is unconditional.
    """

    config: Config
    module: GANModule
    images: Images | None
    data: RunData | None = None


def build(config: Config, with_data: bool = True, data: RunData | None = None) -> Experiment:
    """Build everything that training needs; without data only what sampling needs.

    Args:
        with_data: False: the data set is not opened, and ``config`` must be complete.
        data: Of another experiment with the same ``config``, which is complete then.

    Raises:
        GanlabError: With every mistake in options, one sentence each.
    """
    reads = with_data and data is None
    if reads:
        config, source = completed(config)
    else:
        run_data.refuse_incomplete(config)
    size_check.refuse_batches(config)
    size_check.refuse_networks(config.roles(kinds.networks()), lambda: networks_of(config))
    if reads:
        data = run_data.prepared(config, source)
    images = None if data is None else _with_used_labels(data.images, config.data.classes)

    played, parts = game.of(config, networks_of(config))
    config = _with_length(config, played.growth)
    shares = _label_shares(config, images, {} if data is None else data.splits)
    module = GANModule.assembled(config, played, parts, shares)
    return Experiment(config, module, images, data)


def networks(config: Config) -> dict[str, nn.Module]:
    """The networks of a run by their kinds, for which the data set is opened but no image decoded.

    Raises:
        GanlabError: As `build`.
    """
    return networks_of(completed(config)[0])


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


def networks_of(config: Config) -> dict[str, Any]:
    """The networks of a complete configuration by their kinds.

    Raises:
        GanlabError: If an option is out of range, or one cannot take the labels.
    """
    built: dict[str, Any] = {}
    for kind, part in config.roles(kinds.networks()).items():
        given = _given(part, config, getattr(built.get("generator"), "latent_dim", 0))
        built[kind] = game.with_seed(config, kind, partial(part.make, **given))
    of_files = {kind for kind in built if code_file.split(config[kind].name) is not None}
    return own_networks.fitted(built, of_files, config.data.shape, config.data.classes) if of_files else built


def _with_used_labels(images: Images, num_classes: int) -> Images:
    """The images without their labels where the run is unconditional."""
    return images if num_classes else replace(images, labels=None, num_classes=0, class_names=())


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


def _with_length(config: Config, schedule: Growth | None) -> Config:
    """A run that sets no ``trainer.max_steps`` is as long as ``run.max_kimg`` says, or else its schedule of growth,
    or else its data set."""
    if config.trainer.get("max_steps") is not None:
        return config
    run, steps = config.run, -1
    if run.max_kimg is None:
        if schedule is None:
            steps = getattr(config["data"].maker, "steps", Dataset.steps)
        else:
            run = replace(run, max_kimg=schedule.images / 1000)
    return replace(config, trainer={**config.trainer, "max_steps": steps}, run=run)


def _label_shares(config: Config, images: Images | None, splits: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
    classes = config.data.classes
    if not classes:
        return None
    if images is None or images.labels is None:
        return torch.full((classes,), 1 / classes)
    counts = torch.bincount(images.labels[splits["train"]], minlength=classes).float()
    return counts / counts.sum()


def loader(built: Experiment, device: torch.device) -> Loader:
    """The endless batches of an experiment that was built with data.

    Args:
        device: Where the run's networks are: the data set is held there with ``data.on_device``.
    """
    assert built.images is not None
    config, module = built.config, built.module
    return Loader(
        built.images,
        module.game,
        lambda: module.progress,
        batch_size=config.data.batch_size,
        accumulate=config.accumulate,
        seed=lambda: module.draw_seed,
        device=device if config.data.on_device else "cpu",
        rows=built.data.splits["train"] if built.data and config.data.held_out else None,
    )
