"""Configuration -> objects: the only place that builds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from ganlab import growth
from ganlab.assembly import clipping, run_data, size_check
from ganlab.config import compatibility, schema
from ganlab.config.parts import Part, as_typed, check_options, to_schedule
from ganlab.config.schema import COMPONENT
from ganlab.contracts import plan
from ganlab.contracts.dataset import Dataset
from ganlab.contracts.game import Game
from ganlab.contracts.growth import Growth
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.setting import Setting
from ganlab.core import kinds, randomness, registry, schedules
from ganlab.core.errors import GanlabError, sentence, suggestion
from ganlab.data.prepare import Images
from ganlab.data.run_images import RunData
from ganlab.engine.averaging import Average
from ganlab.engine.loader import Loader
from ganlab.engine.module import GANModule, Training

Config = dict[str, Any]

DEFAULT_STEPS = 1000  # of a run that sets neither trainer.max_steps nor run.max_kimg


@dataclass
class Experiment:
    """What a configuration describes.

    Args:
        config: Complete: nothing in it is left to be found out.
        module: Plays the game.
        images: The prepared data, all splits; None if only the networks were asked for.
        data: All of them, with the labels that the data has, also where the run is unconditional.
    """

    config: Config
    module: GANModule
    images: Images | None
    data: RunData | None = None


def build(config: Config, with_data: bool = True) -> Experiment:
    """Everything that training needs; without data only what sampling needs.

    Args:
        config: As `ganlab.config.compose.read` gives it, or complete from a run folder.
        with_data: False: the data set is not opened, and ``config`` must be complete.

    Raises:
        GanlabError: With every mistake in options, one sentence each.
    """
    components, regularizers, optimizers = check_options(config)
    data: RunData | None = None
    if with_data:
        config, source = completed(config, components)
    else:
        run_data.refuse_incomplete(config)
    size_check.refuse_batches(config)
    networks_of = {kind: components[kind] for kind in kinds.networks() if kind in components}
    size_check.refuse_networks(networks_of, lambda: _networks(config, components))
    if with_data:
        data = run_data.prepared(config, source)
    images = None if data is None else _told_labels(data.images, config["data"]["num_classes"])

    given = _networks(config, components)
    if "loss" in components:
        given["loss"] = components["loss"].make()
    prior = components["prior"].make()
    attached = {name: _with_seed(config, f"reg.{name}", part.make) for name, part in regularizers.items()}
    _refuse_company(as_typed(config, {**given, "game": components["game"].component}, attached))
    components["game"].arguments.update(given)
    game: Game = _with_seed(config, "game", components["game"].make)
    memory_format = torch.channels_last if config["channels_last"] else torch.contiguous_format
    for name, regularizer in attached.items():
        _attach(regularizers[name].key, regularizer, game, config)
    if "growth" in components:
        _grow(game, components["growth"], config)
    config = _with_length(config, game.growth)
    for module in (game, *attached.values()):
        module.to(memory_format=memory_format)  # type: ignore[call-overload]
        _across_ranks(module, config["sync_batch_norm"])

    average = _average(config, game)
    setting = Setting(
        prior=prior,
        latent_dim=getattr(given.get("generator"), "latent_dim", 0),
        label_shares=_label_shares(config, images, {} if data is None else data.splits),
        every_forward=config["state_updates"] == "every_forward",
    )
    images_per_step = _images_per_step(game, config["data"]["batch_size"])
    factories, rates = _optimizers(game, optimizers, images_per_step)
    built = {**given, "game": game, "prior": prior}
    scheduled = [
        *(s for kind in built for s in components[kind].scheduled(built[kind], images_per_step)),
        *(s for name, part in regularizers.items() for s in part.scheduled(attached[name], images_per_step)),
    ]
    training = Training(
        seed=config["seed"],
        batch_size=config["data"]["batch_size"],
        accumulate=config["accumulate"],
        channels_last=config["channels_last"],
        mirror=config["data"]["mirror"],
        dequantize=config["data"]["dequantize"],
        clip=clipping.limits(config, game),
        compile=config["compile"],
        max_steps=config["trainer"]["max_steps"],
        max_kimg=config["run"]["max_kimg"],
        scheduled=scheduled,
    )
    module = GANModule(game, attached, factories, setting, average, training, rates, config)
    return Experiment(config, module, images, data)


def networks(config: Config) -> dict[str, nn.Module]:
    """The networks of a run by their kinds, for which the data set is opened but no image decoded.

    Raises:
        GanlabError: As `build`.
    """
    components, _, _ = check_options(config)
    return _networks(completed(config, components)[0], components)


def completed(config: Config, components: Mapping[str, Part]) -> tuple[Config, Dataset]:
    """The configuration with what the data set and the networks say where it says nothing, and the data set.

    Raises:
        GanlabError: If the data cannot be opened, or data and networks do not fit; no image is decoded.
    """
    source = run_data.source(config)
    built = {kind: components[kind].component for kind in kinds.networks() if kind in components}
    sizes = [network.image_sizes for network in built.values() if hasattr(network, "image_sizes")]
    told = [built[kind] for kind in kinds.labelled(built)]
    conditional = all("num_classes" in schema.takes(network) for network in told)
    return run_data.complete(config, source, image_sizes=sizes, conditional=conditional), source


def _networks(config: Config, components: Mapping[str, Part]) -> dict[str, Any]:
    built: dict[str, Any] = {}
    for kind in kinds.networks():
        if kind in components:
            latent_dim = getattr(built.get("generator"), "latent_dim", 0)
            components[kind].arguments.update(_given(kind, components[kind].component, config, latent_dim))
            built[kind] = _with_seed(config, kind, components[kind].make)
    return built


def _told_labels(images: Images, num_classes: int) -> Images:
    """The images without their labels where the run is unconditional."""
    return images if num_classes else replace(images, labels=None, num_classes=0, class_names=())


def _given(kind: str, component: Any, config: Config, latent_dim: int) -> dict[str, Any]:
    data = config["data"]
    size = data["image_size"]
    values = {
        "image_size": tuple(size) if isinstance(size, list) else size,
        "image_channels": data["image_channels"],
        "num_classes": data["num_classes"],
        "latent_dim": latent_dim,
    }
    taken = schema.takes(component).intersection(kinds.given(kind))
    told = kinds.labelled([each for each in kinds.networks() if COMPONENT in (config.get(each) or {})])
    if data["num_classes"] and "num_classes" not in taken and kind in told:
        raise GanlabError(
            f"{component.__name__} takes no class labels, but data.num_classes={data['num_classes']}: "
            f"set data.num_classes=0 for an unconditional model."
        )
    return {name: value for name, value in values.items() if name in taken}


def _with_seed(config: Config, what: str, make: Callable[[], Any]) -> Any:
    """Initial weights depend on the seed and on what is initialised, on nothing else."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(randomness.key(config["seed"], "initialization", what))
        return make()


def _refuse_company(typed: Mapping[str, Any]) -> None:
    reasons = compatibility.refusals(typed)
    if reasons:
        raise GanlabError(" ".join(reasons))


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


def _grow(game: Game, part: Part, config: Config) -> None:
    """Give the game its schedule of growth."""
    if COMPONENT not in (config.get("discriminator") or {}):
        raise GanlabError(
            f"growth={config['growth'][COMPONENT]} makes a generator and a discriminator grow together, and "
            f"game={config['game'][COMPONENT]} takes no discriminator: choose another game, or growth=none."
        )
    try:
        sizes = growth.image_sizes(game, {name: config[name][COMPONENT] for name in ("generator", "discriminator")})
    except ValueError as error:
        raise GanlabError(f"growth={config['growth'][COMPONENT]}: {sentence(error)}") from error
    part.arguments.update(image_sizes=sizes, players=list(game.players), batch_size=config["data"]["batch_size"])
    schedule: Growth = part.make()
    game.growth = schedule
    max_kimg, first = config["run"]["max_kimg"], schedule.starts[1:2]
    if first and max_kimg is not None and 1000 * max_kimg <= first[0]:
        raise GanlabError(
            f"run.max_kimg={max_kimg:g} ends before the networks grow for the first time, at {first[0] / 1000:g} kimg: "
            f"give more, a shorter schedule (growth.stable_kimg), or growth=none."
        )


def _with_length(config: Config, schedule: Growth | None) -> Config:
    """A run that sets no ``trainer.max_steps`` is as long as ``run.max_kimg`` says, or else its schedule of growth,
    or else `DEFAULT_STEPS`."""
    if config["trainer"].get("max_steps") is not None:
        return config
    run, steps = config["run"], -1
    if run["max_kimg"] is None:
        if schedule is None:
            steps = DEFAULT_STEPS
        else:
            run = {**run, "max_kimg": schedule.images / 1000}
    return {**config, "trainer": {**config["trainer"], "max_steps": steps}, "run": run}


def _images_per_step(game: Game, batch_size: int) -> int | None:
    """What an iteration adds to images seen; None if the game's growth changes it."""
    starts = (0,) if game.growth is None else game.growth.starts
    counts = {plan.plan(game, plan.Progress(images_seen=start), batch_size).counted for start in starts}
    return counts.pop() if len(counts) == 1 else None


def _average(config: Config, game: Game) -> Average:
    networks = {name: game.get_submodule(name) for name in game.averaged if hasattr(game, name)}
    node = config["ema"]
    known = list(inspect.signature(Average).parameters)[1:]
    unknown = [key for key in node if key not in known]
    if unknown:
        raise GanlabError(f"ema.{unknown[0]} is no option.{suggestion(unknown[0], known)} Options: {', '.join(known)}.")
    try:
        return Average(networks, **node)
    except ValueError as error:
        raise GanlabError(f"ema.{sentence(error)}") from error


def _label_shares(config: Config, images: Images | None, splits: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
    classes = config["data"]["num_classes"]
    if not classes:
        return None
    if images is None or images.labels is None:
        return torch.full((classes,), 1 / classes)
    counts = torch.bincount(images.labels[splits["train"]], minlength=classes).float()
    return counts / counts.sum()


def _optimizers(
    game: Game, parts: Mapping[str, Part], images_per_step: int | None
) -> tuple[dict[str, Callable[..., Any]], dict[str, schedules.Schedule]]:
    factories: dict[str, Callable[..., Any]] = {}
    rates: dict[str, schedules.Schedule] = {}
    for player in game.players:
        if player not in parts:
            raise GanlabError(f"The player {player!r} has no optimizer: add +optimizer/{player}=adam.")
        part = parts[player]
        arguments = dict(part.arguments)
        for name, value in arguments.items():
            if schedules.is_schedule(value):
                schedule = to_schedule(f"{part.key}.{name}", value, images_per_step)
                if name != "lr":
                    raise GanlabError(f"{part.key}.{name} cannot follow a schedule; only lr can.")
                rates[player] = schedule
                # some optimizers refuse a rate of 0, with which a warm-up may begin
                arguments[name] = schedule(0) or max(schedule.start_value, schedule.end_value)
        factories[player] = _optimizer_factory(part, arguments)
    return factories, rates


def _optimizer_factory(part: Part, arguments: dict[str, Any]) -> Callable[..., Any]:
    def make(parameters: Any) -> Any:
        try:
            made = part.component(list(parameters), **arguments)
        except ValueError as error:
            raise GanlabError(f"{part.key}: {sentence(error)}") from error
        if lacking := registry.unfinished("optimizer", made):
            raise GanlabError(f"{part.key}: {lacking}")
        return made

    probe = [nn.Parameter(torch.zeros(1))]
    make(probe)  # a rate out of range is to be refused now, not when training starts
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
        batch_size=config["data"]["batch_size"],
        accumulate=config["accumulate"],
        seed=config["seed"],
        device=device if config["data"]["on_device"] else "cpu",
        rows=built.data.splits["train"] if built.data and config["data"]["held_out"] else None,
    )
