"""Configuration -> objects: the only place that builds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from ganlab import compatibility, general, growth, plan, randomness, registry, schedules, schema
from ganlab.averaging import Average
from ganlab.companions import ROLES
from ganlab.contract import Game, Growth, Regularizer
from ganlab.data.contract import Dataset
from ganlab.data.loader import Loader
from ganlab.data.prepare import Images, prepare
from ganlab.data.splits import split
from ganlab.errors import GanlabError, suggestion
from ganlab.module import GANModule, Training
from ganlab.parts import Part, raise_problems, read_part, sentence, to_schedule
from ganlab.schema import COMPONENT
from ganlab.view import Setting

Config = dict[str, Any]

AUGMENT = "augment"
DEFAULT_STEPS = 1000  # of a run that sets neither trainer.max_steps nor run.max_kimg
DATA_KEYS = [
    "batch_size",
    "image_size",
    "image_channels",
    "num_classes",
    "mirror",
    "dequantize",
    "held_out",
    "memory_budget_mib",
    "on_device",
    "undecodable",
]  # keys of `data` that are every data set's; the others are the component's own


@dataclass
class Experiment:
    """What a configuration describes.

    Args:
        config: Complete: nothing in it is left to be found out.
        module: Plays the game.
        images: The prepared data, all splits; None if only the networks were asked for.
        splits: Rows of ``images`` by the name of the split.
        labelled: ``images`` with the labels that the data has, also where the run is unconditional.
        fingerprint: Changes when the images, their order, size or splits change; made when it is asked for.
    """

    config: Config
    module: GANModule
    images: Images | None
    splits: dict[str, torch.Tensor] = field(default_factory=dict)
    labelled: Images | None = None
    fingerprint: Callable[[], str] = str


def build(config: Config, with_data: bool = True) -> Experiment:
    """Everything that training needs; without data only what sampling needs.

    Args:
        config: As `ganlab.config.read` gives it, or complete from a run folder.
        with_data: False: the data set is not opened, and ``config`` must be complete.

    Raises:
        GanlabError: With every mistake in options, one sentence each.
    """
    components, regularizers, optimizers = check_options(config)
    source = _source(config) if with_data else None
    config = complete(config, source, _classes(components))
    labelled = _prepare(config, source) if source is not None else None
    images = _unlabelled(labelled) if labelled is not None and config["data"]["num_classes"] == 0 else labelled
    splits = split(len(images), config["data"]["held_out"]) if images is not None else {}

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
        config = _grow(game, components["growth"], config)
    for module in (game, *attached.values()):
        module.to(memory_format=memory_format)  # type: ignore[call-overload]
        _across_ranks(module, config["sync_batch_norm"])

    average = _average(config, game)
    setting = Setting(
        prior=prior,
        latent_dim=getattr(given.get("generator"), "latent_dim", 0),
        label_shares=_label_shares(config, images, splits),
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
        clip=_clip(config, game),
        compile=config["compile"],
        log_every_steps=config["trainer"].get("log_every_n_steps", 50),
        scheduled=scheduled,
    )
    module = GANModule(game, attached, factories, setting, average, training, rates, config)
    return Experiment(config, module, images, splits, labelled, partial(_fingerprint, source, config))


@dataclass
class OpenedData:
    """A data set without networks, see `open_data`; attributes as those of `Experiment`."""

    labelled: Images
    splits: dict[str, torch.Tensor]
    fingerprint: Callable[[], str]


def open_data(config: Config) -> OpenedData:
    """The data of a configuration, at the size that it says, or else the images' own.

    Raises:
        GanlabError: If the data cannot be read, or its images have many sizes and none is chosen.
    """
    general.check(config)
    source = _source(config)
    config = complete(config, source, {})
    images = _prepare(config, source)
    return OpenedData(images, split(len(images), config["data"]["held_out"]), partial(_fingerprint, source, config))


def networks(config: Config) -> dict[str, nn.Module]:
    """The networks of a run by their kinds, for which the data set is opened but no image decoded.

    Raises:
        GanlabError: As `build`.
    """
    components, _, _ = check_options(config)
    return _networks(complete(config, _source(config), _classes(components)), components)


def _classes(components: Mapping[str, Part]) -> dict[str, Any]:
    return {kind: components[kind].component for kind in registry.NETWORKS if kind in components}


def _networks(config: Config, components: Mapping[str, Part]) -> dict[str, Any]:
    built: dict[str, Any] = {}
    for kind in registry.NETWORKS:
        if kind in components:
            latent_dim = getattr(built.get("generator"), "latent_dim", 0)
            components[kind].arguments.update(_given(kind, components[kind].component, config, latent_dim))
            built[kind] = _with_seed(config, kind, components[kind].make)
    return built


def check_options(config: Config) -> tuple[dict[str, Part], dict[str, Part], dict[str, Part]]:
    """Check every key that can be checked without data: components, regularizers, optimizers.

    Raises:
        GanlabError: With every mistake in options, one sentence each.
    """
    general.check(config)
    kinds = (*registry.NETWORKS, "loss", "game", "prior", "growth")
    # options without a component are what a recipe sets for a role that the chosen game does not have
    empty = [kind for kind in kinds if registry.KINDS[kind].optional and COMPONENT not in (config.get(kind) or {})]
    components = {kind: read_part(kind, kind, config.get(kind)) for kind in kinds if kind not in empty}
    # an augmentation has a regularizer's hooks, and is the first to change what the discriminator sees
    regularizers = {AUGMENT: read_part(AUGMENT, AUGMENT, config[AUGMENT])} if config.get(AUGMENT) else {}
    regularizers.update({n: read_part("reg", f"reg.{n}", node) for n, node in (config.get("reg") or {}).items()})
    optimizers = {
        p: read_part("optimizer", f"optimizer.{p}", node) for p, node in (config.get("optimizer") or {}).items()
    }
    raise_problems([*components.values(), *regularizers.values(), *optimizers.values()])
    misfits = compatibility.misplaced(
        f"game={config['game'][COMPONENT]}",
        schema.takes(components["game"].component),
        {role: config[role][COMPONENT] for role in ROLES if role in components},
        {role: registry.KINDS[role].what for role in ROLES},
    )
    if misfits:
        raise GanlabError(" ".join(misfits))
    return components, regularizers, optimizers


def complete(config: Config, source: Dataset | None, networks: Mapping[str, Any]) -> Config:
    """Fill in what the configuration leaves to the data and the model: size, channels, classes.

    Raises:
        GanlabError: If data and model cannot be brought together.
    """
    data = dict(config["data"])
    if source is None:
        missing = [key for key in ("image_size", "image_channels", "num_classes") if data[key] is None]
        if missing:
            raise GanlabError(f"The configuration is not complete: data.{missing[0]} is missing.")
        return config
    if data["held_out"] is None:
        data["held_out"] = source.held_out
    if data["image_channels"] is None:
        data["image_channels"] = source.native_channels
    if data["image_size"] is None:
        smallest = [s for s in (getattr(n, "smallest_image_size", None) for n in networks.values()) if s is not None]
        data["image_size"] = max(smallest) if smallest else source.native_size
        if data["image_size"] is None:
            raise GanlabError("The images have many sizes: say which one to train on, as data.image_size=64.")
    if data["num_classes"] is None:
        told = [networks[kind] for kind in _told("discriminator" in networks) if kind in networks]
        conditional = all("num_classes" in schema.takes(network) for network in told)
        data["num_classes"] = source.num_classes if conditional else 0
    elif data["num_classes"] > 0 and source.num_classes != data["num_classes"]:
        has = f"{source.num_classes} classes" if source.num_classes else "no labels"
        raise GanlabError(
            f"data.num_classes={data['num_classes']}, but the data set {config['data'][COMPONENT]!r} has {has}: "
            f"leave data.num_classes out, or set it to 0 for an unconditional model."
        )
    size = data["image_size"]
    data["image_size"] = size[0] if isinstance(size, (list, tuple)) and size[0] == size[1] else size
    data["image_size"] = list(size) if isinstance(data["image_size"], tuple) else data["image_size"]
    trainer = dict(config["trainer"])
    if trainer.get("max_steps") is None and (config["run"]["max_kimg"] is not None or not config.get("growth")):
        trainer["max_steps"] = DEFAULT_STEPS if config["run"]["max_kimg"] is None else -1
    return {**config, "data": data, "trainer": trainer}


def _source(config: Config) -> Dataset:
    node = {key: value for key, value in config["data"].items() if key not in DATA_KEYS}
    part = read_part("data", "data", node)
    raise_problems([part])
    return part.make()


def _prepare(config: Config, source: Dataset) -> Images:
    data = config["data"]
    try:
        images = prepare(
            source,
            image_size=_pair(data["image_size"]),
            image_channels=data["image_channels"],
            memory_budget_mib=data["memory_budget_mib"],
            undecodable=data["undecodable"],
        )
    except ValueError as error:
        raise GanlabError(f"data: {sentence(error)}") from error
    return images


def _unlabelled(images: Images) -> Images:
    return replace(images, labels=None, num_classes=0, class_names=())


def _fingerprint(source: Dataset | None, config: Config) -> str:
    assert source is not None
    data = config["data"]
    parts = (data[key] for key in ("image_size", "image_channels", "held_out", "undecodable"))
    return " ".join(map(str, (source.fingerprint(), *parts)))


def _told(has_discriminator: bool) -> tuple[str, ...]:
    """The networks that are told the labels in a conditional run: who makes images and who judges them."""
    return ("generator", "discriminator" if has_discriminator else "encoder")


def _given(kind: str, component: Any, config: Config, latent_dim: int) -> dict[str, Any]:
    data = config["data"]
    size = data["image_size"]
    values = {
        "image_size": tuple(size) if isinstance(size, list) else size,
        "image_channels": data["image_channels"],
        "num_classes": data["num_classes"],
        "latent_dim": latent_dim,
    }
    taken = schema.takes(component).intersection(registry.KINDS[kind].given)
    told = _told(COMPONENT in (config.get("discriminator") or {}))
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


def as_typed(config: Config, parts: Mapping[str, Any], regularizers: Mapping[str, Any]) -> dict[str, Any]:
    """Components of a configuration, by what one types for each: ``loss=hinge``, ``reg=sn``.

    Args:
        parts: By their kinds.
        regularizers: By their names; an augmentation as ``augment``.
    """
    typed = {f"{kind}={config[kind][COMPONENT]}": part for kind, part in parts.items()}
    for name, part in regularizers.items():
        typed[f"{AUGMENT}={config[AUGMENT][COMPONENT]}" if name == AUGMENT else f"reg={name}"] = part
    return typed


def _refuse_company(typed: Mapping[str, Any]) -> None:
    reasons = compatibility.refusals(typed)
    if reasons:
        raise GanlabError(" ".join(reasons))


def _attach(key: str, regularizer: Any, game: Game, config: Config) -> None:
    if not isinstance(regularizer, Regularizer):
        raise GanlabError(f"{key}: {type(regularizer).__name__} is no ganlab.contract.Regularizer, so it has no hooks.")
    try:
        _with_seed(config, f"{key}.attach", lambda: regularizer.attach(game))
    except ValueError as error:
        raise GanlabError(f"{key}: {sentence(error)}") from error


def _across_ranks(module: nn.Module, flag: bool) -> None:
    for layer in module.modules():
        if hasattr(layer, "across_ranks"):
            layer.across_ranks = flag  # type: ignore[assignment]


def _grow(game: Game, part: Part, config: Config) -> Config:
    """Give the game its schedule of growth, and a run without a length the schedule's."""
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
    if config["trainer"].get("max_steps") is None:
        trainer, run = {**config["trainer"], "max_steps": -1}, {**config["run"], "max_kimg": schedule.images / 1000}
        return {**config, "trainer": trainer, "run": run}
    return config


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
            return part.component(list(parameters), **arguments)
        except ValueError as error:
            raise GanlabError(f"{part.key}: {sentence(error)}") from error

    probe = [nn.Parameter(torch.zeros(1))]
    make(probe)  # a rate out of range is to be refused now, not when training starts
    return make


def _clip(config: Config, game: Game) -> dict[str, float]:
    limits = {player: value for player, value in (config.get("clip") or {}).items() if value is not None}
    for player, value in limits.items():
        if player not in game.players:
            raise GanlabError(
                f"clip.{player}: the game has no such player.{suggestion(player, game.players)} "
                f"Players: {', '.join(game.players)}."
            )
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
            raise GanlabError(f"clip.{player} must be a positive number or null, got {value!r}.")
    return limits


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
        rows=built.splits["train"] if config["data"]["held_out"] else None,
    )


def check_batch(module: GANModule, world_size: int) -> None:
    """Every turn's batch must divide over ranks and accumulations.

    Raises:
        GanlabError: If one does not, with the nearest batch sizes that do.
    """
    options = module.training_options
    parts = options.accumulate * world_size
    for key, batch, progress in _batches(module):
        slots = plan.plan(module.game, progress, options.batch_size).slots
        for slot in slots:
            if not _divides(batch, slot.turn.batch, parts):
                found = [
                    next((n for n in sizes if all(_divides(n, s.turn.batch, parts) for s in slots)), None)
                    for sizes in (range(batch, 0, -1), range(batch, batch + 1000 * parts))
                ]
                near = " or ".join(str(n) for n in found if n)
                share = f" (a share of {slot.turn.batch:g} of it in one turn)" if slot.turn.batch != 1 else ""
                raise GanlabError(
                    f"{key}={batch}{share} does not divide into accumulate={options.accumulate} "
                    f"times {world_size} process{'es' if world_size > 1 else ''}: try {key}={near}."
                )


def _divides(batch: int, share: float, parts: int) -> bool:
    """Whether a share of a batch gives each of ``parts`` as many images, and at least one."""
    size = round(batch * share)
    return size > 0 and size % parts == 0


def _batches(module: GANModule) -> Iterator[tuple[str, int, plan.Progress]]:
    """Every batch size of a run: its key, its value, and where the run takes it."""
    given, schedule = module.training_options.batch_size, module.game.growth
    if schedule is None:
        yield "data.batch_size", given, module.progress
        return
    for start in schedule.starts:
        stage = schedule.stage(start)
        batch = given if stage.batch_size is None else stage.batch_size
        key = "data.batch_size" if batch == given else f"growth.batch_sizes.{stage.image_size[0]}"
        yield key, batch, plan.Progress(images_seen=start)


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
