"""Configuration -> objects: the only place that builds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from ganlab import growth
from ganlab.assembly import clipping, run_data, size_check
from ganlab.config import schema
from ganlab.config.component import Component
from ganlab.config.configuration import Config
from ganlab.contracts import compatibility, plan
from ganlab.contracts.dataset import Dataset
from ganlab.contracts.game import Game
from ganlab.contracts.growth import Growth
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.setting import Setting
from ganlab.core import kinds, randomness, registry, schedules
from ganlab.core.errors import GanlabError, sentence
from ganlab.core.schedules import Scheduled
from ganlab.data.prepare import Images
from ganlab.data.run_images import RunData
from ganlab.engine.averaging import Average
from ganlab.engine.loader import Loader
from ganlab.engine.module import GANModule, Training

DEFAULT_STEPS = 1000  # of a run that sets neither trainer.max_steps nor run.max_kimg


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


def build(config: Config, with_data: bool = True) -> Experiment:
    """Build everything that training needs; without data only what sampling needs.

    Args:
        with_data: False: the data set is not opened, and ``config`` must be complete.

    Raises:
        GanlabError: With every mistake in options, one sentence each.
    """
    data: RunData | None = None
    if with_data:
        config, source = completed(config)
    else:
        run_data.refuse_incomplete(config)
    size_check.refuse_batches(config)
    size_check.refuse_networks(config.roles(kinds.networks()), lambda: networks_of(config))
    if with_data:
        data = run_data.prepared(config, source)
    images = None if data is None else _with_used_labels(data.images, config.data.classes)

    game, parts = _game(config)
    config = _with_length(config, game.growth)
    regularizers = {name: parts[part.key] for name, part in config.regularizers.items()}
    memory_format = torch.channels_last if config.channels_last else torch.contiguous_format
    for module in (game, *regularizers.values()):
        module.to(memory_format=memory_format)  # type: ignore[call-overload]
        _across_ranks(module, config.sync_batch_norm)
    setting = Setting(
        prior=parts["prior"],
        latent_dim=getattr(parts.get("generator"), "latent_dim", 0),
        label_shares=_label_shares(config, images, {} if data is None else data.splits),
        every_forward=config.state_updates == "every_forward",
    )
    average = Average(
        {name: game.get_submodule(name) for name in game.averaged if hasattr(game, name)}, **vars(config.ema)
    )
    images_per_step = _images_per_step(game, config.data.batch_size)
    factories, rates = _optimizers(game, config.of("optimizer"), images_per_step)
    scheduled = [s for key, part in parts.items() for s in config[key].follow(part, images_per_step)]
    training = _training(config, clipping.limits(config.clip, game), scheduled)
    module = GANModule(game, regularizers, factories, setting, average, training, rates, config.plain())
    return Experiment(config, module, images, data)


def _game(config: Config) -> tuple[Game, dict[str, Any]]:
    """The game with its regularizers attached and its schedule of growth, and its parts by key."""
    parts = networks_of(config)
    if "loss" in config:
        parts["loss"] = config["loss"].make()
    prior = config["prior"].make()
    attached = {part.key: _with_seed(config, _place(part), part.make) for part in config.regularizers.values()}
    typed = {config[key].typed: part for key, part in {**parts, **attached}.items()}
    if reasons := compatibility.refusals({**typed, config["game"].typed: config["game"].maker}):
        raise GanlabError(" ".join(reasons))
    game: Game = _with_seed(config, "game", lambda: config["game"].make(**parts))
    for key, regularizer in attached.items():
        _attach(key, regularizer, game, config)
    if "growth" in config:
        _grow(game, config)
    return game, {**parts, "game": game, "prior": prior, **attached}


def _place(part: Component) -> str:
    """The key of a regularizer's random numbers; an augmentation's has been ``reg.augment`` from the beginning."""
    return f"reg.{part.key}" if part.kind in kinds.single_hooks() else part.key


def _training(config: Config, clip: Mapping[str, float], scheduled: list[Scheduled]) -> Training:
    return Training(
        seed=config.seed,
        batch_size=config.data.batch_size,
        accumulate=config.accumulate,
        channels_last=config.channels_last,
        mirror=config.data.mirror,
        dequantize=config.data.dequantize,
        clip=dict(clip),
        compile=config.compile,
        max_steps=config.max_steps,
        max_kimg=config.run.max_kimg,
        scheduled=scheduled,
    )


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
    sizes = [network.image_sizes for network in makers.values() if hasattr(network, "image_sizes")]
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
        built[kind] = _with_seed(config, kind, partial(part.make, **given))
    return built


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


def _with_seed(config: Config, what: str, make: Callable[[], Any]) -> Any:
    """Make a network whose initial weights depend on the seed and on ``what`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(randomness.key(config.seed, "initialization", what))
        return make()


def _attach(key: str, regularizer: Any, game: Game, config: Config) -> None:
    if not isinstance(regularizer, Regularizer):
        raise GanlabError(f"{key}: {type(regularizer).__name__} is no ganlab.Regularizer, so it has no hooks.")
    try:
        _with_seed(config, f"{key}.attach", lambda: regularizer.attach(game))
    except (ValueError, RuntimeError) as error:  # RuntimeError: of shapes, or an allocation that failed
        raise GanlabError(f"{key}: {sentence(error)}") from error


def _across_ranks(module: nn.Module, flag: bool) -> None:
    for layer in module.modules():
        if hasattr(layer, "across_ranks"):
            layer.across_ranks = flag  # type: ignore[assignment]


def _grow(game: Game, config: Config) -> None:
    part = config["growth"]
    if "discriminator" not in config:
        raise GanlabError(
            f"{part.typed} makes a generator and a discriminator grow together, and "
            f"{config['game'].typed} takes no discriminator: choose another game, or growth=none."
        )
    try:
        sizes = growth.image_sizes(game, {name: config[name].name for name in ("generator", "discriminator")})
    except ValueError as error:
        raise GanlabError(f"{part.typed}: {sentence(error)}") from error
    schedule: Growth = part.make(image_sizes=sizes, players=list(game.players), batch_size=config.data.batch_size)
    game.growth = schedule
    max_kimg, first = config.run.max_kimg, schedule.starts[1:2]
    if first and max_kimg is not None and 1000 * max_kimg <= first[0]:
        raise GanlabError(
            f"run.max_kimg={max_kimg:g} ends before the networks grow for the first time, at {first[0] / 1000:g} kimg: "
            f"give more, a shorter schedule (growth.stable_kimg), or growth=none."
        )


def _with_length(config: Config, schedule: Growth | None) -> Config:
    """A run that sets no ``trainer.max_steps`` is as long as ``run.max_kimg`` says, or else its schedule of growth,
    or else `DEFAULT_STEPS`."""
    if config.trainer.get("max_steps") is not None:
        return config
    run, steps = config.run, -1
    if run.max_kimg is None:
        if schedule is None:
            steps = DEFAULT_STEPS
        else:
            run = replace(run, max_kimg=schedule.images / 1000)
    return replace(config, trainer={**config.trainer, "max_steps": steps}, run=run)


def _images_per_step(game: Game, batch_size: int) -> int | None:
    """Images that an iteration adds to images seen; None if growth changes the number."""
    starts = (0,) if game.growth is None else game.growth.starts
    counts = {plan.plan(game, plan.Progress(images_seen=start), batch_size).counted for start in starts}
    return counts.pop() if len(counts) == 1 else None


def _label_shares(config: Config, images: Images | None, splits: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
    classes = config.data.classes
    if not classes:
        return None
    if images is None or images.labels is None:
        return torch.full((classes,), 1 / classes)
    counts = torch.bincount(images.labels[splits["train"]], minlength=classes).float()
    return counts / counts.sum()


def _optimizers(
    game: Game, parts: Mapping[str, Component], images_per_step: int | None
) -> tuple[dict[str, Callable[..., Any]], dict[str, schedules.Schedule]]:
    factories: dict[str, Callable[..., Any]] = {}
    rates: dict[str, schedules.Schedule] = {}
    for player in game.players:
        if player not in parts:
            raise GanlabError(f"The player {player!r} has no optimizer: add +optimizer/{player}=adam.")
        part = parts[player]
        arguments = dict(part.arguments)
        for name in part.scheduled:
            schedule = part.schedule(name, images_per_step)
            if name != "lr":
                raise GanlabError(f"{part.key}.{name} cannot follow a schedule; only lr can.")
            rates[player] = schedule
            # some optimizers refuse a rate of 0, with which a warm-up may begin
            arguments[name] = schedule(0) or max(schedule.start_value, schedule.end_value)
        factories[player] = _optimizer_factory(part, arguments)
    return factories, rates


def _optimizer_factory(part: Component, arguments: dict[str, Any]) -> Callable[..., Any]:
    def make(parameters: Any) -> Any:
        try:
            made = part.maker(list(parameters), **arguments)
        except ValueError as error:
            raise GanlabError(f"{part.key}: {sentence(error)}") from error
        if lacking := registry.unfinished("optimizer", made):
            raise GanlabError(f"{part.key}: {lacking}")
        return made

    probe = [nn.Parameter(torch.zeros(1))]
    make(probe)  # refuses a rate out of range now, not when training starts
    return make


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
        seed=config.seed,
        device=device if config.data.on_device else "cpu",
        rows=built.data.splits["train"] if built.data and config.data.held_out else None,
    )
