"""Words as in ``ganlab train`` -> a small game."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from ganlab.assembly import game as games
from ganlab.config import compose, schema
from ganlab.config.component import Component
from ganlab.config.compose import Inherited
from ganlab.config.configuration import Config
from ganlab.contracts import compatibility
from ganlab.contracts.game import Game
from ganlab.core import kinds
from ganlab.core.errors import GanlabError, sentence, suggestion
from ganlab.dynamics.play import Play
from ganlab.dynamics.problems import PROBLEMS, Problem

NETWORKS = ("generator", "discriminator")
_DEFAULTS = Path(__file__).with_name("defaults.yaml")


def read_defaults() -> dict[str, Any]:
    """Return the choices of the laboratory where `ganlab train` has others."""
    found: dict[str, Any] = yaml.safe_load(_DEFAULTS.read_text(encoding="utf-8"))
    return found


def problem(name: str) -> Problem:
    """Return a problem by name.

    Raises:
        GanlabError: If there is none.
    """
    if name not in PROBLEMS:
        raise GanlabError(
            f"No problem is called {name!r}.{suggestion(name, PROBLEMS)} Known: {', '.join(PROBLEMS)}; and "
            f"data sets of points such as ring and grid, which are trained."
        )
    return PROBLEMS[name]


def configuration(words: Sequence[str]) -> Config:
    """Return the configuration of words such as ``loss=hinge``, with the optimizers of small games.

    Raises:
        GanlabError: As `ganlab.config.compose.read`.
    """
    defaults = read_defaults()
    values = {}
    for player in NETWORKS:
        group = f"optimizer/{player}"
        chosen = any(word.startswith(f"{group}=") for word in words)
        values[f"optimizer.{player}.lr"] = defaults["lr_of_others" if chosen else "lr"]
    choices = {f"optimizer/{player}": defaults["optimizer"] for player in NETWORKS}
    return compose.read(words, Inherited(choices, values))


def build(of: Problem, config: Config) -> Play:
    """Return the game of a problem with the loss, regularizers, rule and optimizers of a configuration.

    Raises:
        GanlabError: With what does not go with the problem.
    """
    game = config["game"]
    takes = set(schema.takes(game.maker))
    for role in kinds.roles():
        if role in takes and role not in (*NETWORKS, "loss"):
            raise GanlabError(
                f"problem={of.name} has a generator and a discriminator, and {game.typed} also wants: "
                f"{kinds.KINDS[role].what}. Choose another game, as game={kinds.KINDS['game'].default}."
            )
    networks: dict[str, nn.Module] = {"generator": of.generator(), "discriminator": of.discriminator()}
    networks = {kind: network for kind, network in networks.items() if kind in takes}
    _refuse_missing(of, config, networks)
    _refuse_schedules(of, config)
    found = {kind: _given(kind, network) for kind, network in networks.items()}
    config = replace(config, components={**config.components, **found})
    played, parts = games.of(config, networks)
    _refuse_further_weights(of, config, played)
    factories, _ = games.optimizers(played, config.of("optimizer"), None)
    regularizers = {name: parts[part.key] for name, part in config.regularizers.items()}
    try:
        play = Play(of, played, regularizers, factories, parts["prior"])
        for slot in play.slots():
            play.gradient(slot.turn)
    except (ValueError, RuntimeError, AttributeError, IndexError, TypeError) as error:
        chosen = ", ".join(part.typed for part in (*config.regularizers.values(), *config.roles(["loss"]).values()))
        raise GanlabError(
            f"{chosen} cannot play on the points of problem={of.name}, which have one coordinate: {sentence(error)} "
            f"Leave out what is made for images."
        ) from error
    return play


def _given(kind: str, network: nn.Module) -> Component:
    return Component(kind, kind, type(network).__name__, {}, {}, lambda: network)


def _refuse_missing(of: Problem, config: Config, networks: Mapping[str, nn.Module]) -> None:
    """Refuse a part that needs more than this discriminator has, such as features."""
    parts = {config["loss"].typed: config["loss"].make()} if "loss" in config else {}
    parts |= {part.typed: part.make() for part in config.regularizers.values()}
    offers: set[str] = set().union(
        *(compatibility.provided(part) for part in parts.values()),
        *(compatibility.provided(network, kind) for kind, network in networks.items()),
        compatibility.provided(config["game"].maker),
    )
    for typed, part in parts.items():
        for word in getattr(part, "needs", ()):
            if word not in offers:
                what = compatibility.WORDS.get(word, (f"what is called {word!r}", ""))[0]
                raise GanlabError(
                    f"{typed} needs {what}, and problem={of.name} has only {of.formula}: choose another "
                    f"{typed.partition('=')[0]}."
                )


def _refuse_further_weights(of: Problem, config: Config, game: Game) -> None:
    """Refuse what adds a network, such as that by which entropy is estimated: its weights have no equilibrium here."""
    count = sum(p.numel() for player in game.players.values() for p in player.parameters() if p.requires_grad)
    if count > len(of.weights):
        chosen = ", ".join(part.typed for part in (*config.regularizers.values(), config["game"]))
        raise GanlabError(
            f"{chosen} adds a network of its own, and problem={of.name} has the weights {', '.join(of.weights)} alone: "
            f"take problem=ring, whose networks are trained."
        )


def _refuse_schedules(of: Problem, config: Config) -> None:
    """Refuse numbers that change and rates that are none: the map would be another one in each iteration."""
    for key, part in config.components.items():
        if part.scheduled:
            raise GanlabError(
                f"{key}.{part.scheduled[0]} follows a schedule, and a vector field has one value: give a number."
            )
    for player, part in config.of("optimizer").items():
        lr: Any = part.arguments.get("lr")
        if isinstance(lr, (int, float)) and not (math.isfinite(lr) and lr > 0):
            raise GanlabError(
                f"optimizer.{player}.lr must be positive and finite, got {lr}: it is the step size of the {player}."
            )
