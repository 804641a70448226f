"""The game of a configuration with its regularizers attached, and the optimizers of its players.

Neither Hydra nor Lightning is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from ganlab import growth
from ganlab.assembly import freezing
from ganlab.config.component import Component
from ganlab.config.configuration import Config
from ganlab.contracts import compatibility, plan
from ganlab.contracts.game import Game
from ganlab.contracts.growth import Growth
from ganlab.contracts.regularizer import Regularizer
from ganlab.core import kinds, randomness, registry
from ganlab.core.errors import GanlabError, sentence
from ganlab.core.schedules import Scheduled
from ganlab.engine.averaging import Average


def of(config: Config, networks: Mapping[str, nn.Module]) -> tuple[Game, dict[str, Any]]:
    """The game with its regularizers attached and its schedule of growth, and its parts by key.

    Args:
        networks: By their kinds.

    Raises:
        GanlabError: If parts do not go together, or an option is out of range.
    """
    parts: dict[str, Any] = dict(networks)
    if "loss" in config:
        parts["loss"] = config["loss"].make()
    prior = config["prior"].make()
    attached = {part.key: with_seed(config, _place(part), part.make) for part in config.regularizers.values()}
    typed = {config[key].typed: part for key, part in {**parts, **attached}.items()}
    if reasons := compatibility.refusals({**typed, config["game"].typed: config["game"].maker}):
        raise GanlabError(" ".join(reasons))
    game: Game = with_seed(config, "game", lambda: config["game"].make(**parts))
    for key, regularizer in attached.items():
        with_seed(config, f"{key}.attach", partial(attach, key, regularizer, game))
    if "growth" in config:
        _grow(game, config)
    if config.freeze:
        freezing.freeze(game, config.freeze, config.data.shape, config.data.classes)
    return game, {**parts, "game": game, "prior": prior, **attached}


def _place(part: Component) -> str:
    """The key of a regularizer's random numbers; an augmentation's has been ``reg.augment`` from the beginning."""
    return f"reg.{part.key}" if part.kind in kinds.single_hooks() else part.key


def with_seed(config: Config, what: str, make: Callable[[], Any]) -> Any:
    """Make a network whose initial weights depend on the seed and on ``what`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(randomness.key(config.seed, "initialization", what))
        return make()


def attach(key: str, regularizer: Any, game: Game) -> None:
    """Attach a regularizer to a game.

    Raises:
        GanlabError: If it is none, or does not go with the game.
    """
    if not isinstance(regularizer, Regularizer):
        raise GanlabError(f"{key}: {type(regularizer).__name__} is no ganlab.Regularizer, so it has no hooks.")
    try:
        regularizer.attach(game)
    except (ValueError, RuntimeError) as error:  # RuntimeError: of shapes, or an allocation that failed
        raise GanlabError(f"{key}: {sentence(error)}") from error


def across_ranks(module: nn.Module, flag: bool) -> None:
    """Set whether batch statistics are taken across ranks."""
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


def images_per_step(game: Game, batch_size: int) -> int | None:
    """Images that an iteration adds to images seen; None if growth changes the number."""
    starts = (0,) if game.growth is None else game.growth.starts
    counts = {plan.plan(game, plan.Progress(images_seen=start), batch_size).counted for start in starts}
    return counts.pop() if len(counts) == 1 else None


def average(game: Game, options: Mapping[str, Any], images_a_step: int | None) -> tuple[Average, list[Scheduled]]:
    """The moving averages of a game's networks, and their numbers that follow schedules.

    Args:
        options: Those of the section ``ema``.

    Raises:
        GanlabError: If a schedule does not fit.
    """
    section = Component("ema", "ema", "ema", options, options, Average)
    following = {name: section.schedule(name, images_a_step) for name in section.scheduled}
    networks = {name: game.get_submodule(name) for name in game.averaged if hasattr(game, name)}
    try:
        Average({}, **{**options, **{name: schedule.end_value for name, schedule in following.items()}})
        built = Average(networks, **{**options, **{name: schedule(0) for name, schedule in following.items()}})
    except ValueError as error:
        raise GanlabError(f"ema: {sentence(error)}") from error
    return built, section.follow(built, images_a_step)


def optimizers(
    game: Game, parts: Mapping[str, Component], images_a_step: int | None
) -> tuple[dict[str, Callable[..., Any]], dict[str, dict[str, Any]]]:
    """A factory of each player's optimizer, and its options that follow schedules: ``lr`` and ``betas``.

    Raises:
        GanlabError: If a player has no optimizer, or one that refuses its options.
    """
    factories: dict[str, Callable[..., Any]] = {}
    following: dict[str, dict[str, Any]] = {}
    for player in game.players:
        if player not in parts:
            raise GanlabError(f"The player {player!r} has no optimizer: add +optimizer/{player}=adam.")
        part = parts[player]
        arguments = dict(part.arguments)
        for name in part.scheduled:
            schedule = part.schedule(name, images_a_step)
            if name not in ("lr", "betas"):
                raise GanlabError(f"{part.key}.{name} cannot follow a schedule; only lr and betas can.")
            following.setdefault(player, {})[name] = schedule
            ends = schedule(0), schedule.end_value
            if name == "betas":
                optimizer_factory(part, {**part.arguments, **arguments, name: ends[1]})
            # some optimizers refuse a rate of 0, with which a warm-up may begin
            arguments[name] = ends[0] or max(ends)
        factories[player] = optimizer_factory(part, arguments)
    return factories, following


def optimizer_factory(part: Component, arguments: Mapping[str, Any]) -> Callable[..., Any]:
    """Return what makes a player's optimizer of its parameters.

    Args:
        arguments: The constructor's.

    Raises:
        GanlabError: If an option is out of range or none of the optimizer's; the factory raises it too.
    """

    def make(parameters: Any) -> Any:
        try:
            made = part.maker(list(parameters), **arguments)
        except (TypeError, ValueError) as error:
            raise GanlabError(f"{part.key}: {sentence(error)}") from error
        if lacking := registry.unfinished("optimizer", made):
            raise GanlabError(f"{part.key}: {lacking}")
        return made

    probe = [nn.Parameter(torch.zeros(1))]
    make(probe)  # refuses a rate out of range now, not when training starts
    return make
