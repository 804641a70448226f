"""Configuration -> objects: the only place that builds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ganlab.assembly import automatic, game, run_data, run_networks, size_check
from ganlab.assembly.gan_module import GANModule
from ganlab.config.configuration import Config
from ganlab.contracts.dataset import Dataset
from ganlab.contracts.growth import Growth
from ganlab.core import kinds
from ganlab.data.prepare import Images
from ganlab.data.run_images import RunData
from ganlab.engine.loader import Loader, held_by_itself


@dataclass
class Experiment:
    """The objects that a configuration describes.

    Args:
        config: Complete: every option has its final value.
        module: Plays the game.
        images: The prepared data, all splits; None if only the networks were asked for.
        data: All of them, with the labels that the data has, also where the run is unconditional.
        automatic: A line about each option that was ``auto``.
    """

    config: Config
    module: GANModule
    images: Images | None
    data: RunData | None = None
    automatic: Sequence[str] = ()


def build(config: Config, with_data: bool = True, data: RunData | None = None) -> Experiment:
    """Build everything that training needs; without data only what sampling needs.

    Args:
        with_data: False: the data set is not opened, and ``config`` must be complete.
        data: Of another experiment with the same ``config``, which is complete then.

    Raises:
        GanlabError: With every mistake in options, one sentence each.
    """
    reads = with_data and data is None
    lines: list[str] = []
    if reads:
        config, source = run_networks.completed(config)
        config, lines = automatic.filled(config)
    else:
        run_data.refuse_incomplete(config)
    size_check.refuse_batches(config)
    size_check.refuse_networks(config.roles(kinds.networks()), lambda: run_networks.of(config))
    if reads:
        data = run_data.prepared(config, source)
    images = None if data is None else _with_used_labels(data.images, config.data.classes)

    played, parts = game.of(config, run_networks.of(config))
    config = _with_length(config, played.growth)
    shares = run_data.label_shares(config, images, {} if data is None else data.splits)
    module = GANModule.assembled(config, played, parts, shares)
    return Experiment(config, module, images, data, lines)


def _with_used_labels(images: Images, num_classes: int) -> Images:
    """The images without their labels where the run is unconditional."""
    return images if num_classes else replace(images, labels=None, num_classes=0, class_names=())


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


def loader(built: Experiment, device: torch.device) -> Loader:
    """The endless batches of an experiment that was built with data.

    Args:
        device: Where the run's networks are: the data set is held there as ``data.on_device`` says.
    """
    assert built.images is not None
    config, module = built.config, built.module
    held = config.data.on_device
    if held == "auto":
        held = device.type == "cuda" and held_by_itself(
            built.images.pixels.nbytes, torch.cuda.mem_get_info(device)[0], int(config.data.memory_budget_mib * 2**20)
        )
    return Loader(
        built.images,
        module.game,
        lambda: module.progress,
        batch_size=config.data.batch_size,
        accumulate=config.accumulate,
        seed=lambda: module.draw_seed,
        device=device if held else "cpu",
        rows=built.data.splits["train"] if built.data and config.data.held_out else None,
    )
