"""The arguments of `ganlab.GANModule.of` as a configuration and networks.

Neither Hydra nor Lightning is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from ganlab.assembly import own_networks, parts
from ganlab.config import configuration, schema, sections
from ganlab.config.arguments import checked
from ganlab.config.component import Component
from ganlab.config.configuration import Config
from ganlab.core import kinds, schedules
from ganlab.core.errors import GanlabError, shown, suggestion
from ganlab.core.ranges import at_least

GENERAL = ("seed", "accumulate", "state_updates", "sync_batch_norm", "channels_last", "compile", "recorded")
DATA = ("batch_size", "mirror", "dequantize")
SINGLE = ("loss", "augment", "game", "prior")
OBJECTS = ("generator", "discriminator", *SINGLE, "reg", "optimizer")


def read(**arguments: Any) -> tuple[Config, dict[str, nn.Module]]:
    """A configuration without optimizers, whose players are not known yet, and the networks by their kinds.

    Raises:
        GanlabError: With what is wrong.
    """
    given = {**arguments, **checked(_numbers, {n: arguments.get(n) for n in ("latent_dim", "num_classes")})}
    reg = given.pop("reg", None)
    given["loss"], reg = parts.unbundled(given.get("loss"), () if reg is None else reg)
    game = parts.one("game", _or(given.pop("game", None), kinds.KINDS["game"].default))
    takes = schema.takes(game.maker)
    networks = _networks({kind: given.pop(kind, None) for kind in kinds.networks()}, given)
    components: dict[str, Component] = {
        kind: Component(kind, kind, type(_own(n)).__name__, {}, {}, lambda n=n: n) for kind, n in networks.items()
    }
    for kind in ("loss", "augment", "prior"):
        default = kinds.KINDS[kind].default if kind != "loss" or kind in takes else kinds.NONE
        chosen = _or(given.pop(kind, None), default)
        if not (isinstance(chosen, str) and chosen == kinds.NONE):
            components[kind] = parts.one(kind, chosen)
    components.update(parts.several("reg", reg))
    values = _sections({name: given.pop(name) for name in (*GENERAL, *DATA) if name in given}, given.pop("ema", None))
    clip = _or(given.pop("clip", None), {})
    given_classes = given.get("num_classes")
    for name in ("optimizer", "lr", "latent_dim", "num_classes", "label_shares", "metrics", "features"):
        given.pop(name, None)
    components["game"] = _game(game, given)
    classes = max((getattr(network, "num_classes", 0) or 0 for network in networks.values()), default=0)
    if given_classes and not classes:
        raise GanlabError(
            f"num_classes={given_classes} is given, but the networks take no labels: leave it out, or let one take "
            f"(z, y) or (x, y)."
        )
    values["data"] = replace(values["data"], num_classes=classes)
    config = Config(**values, clip=clip, around={}, trainer={"max_steps": -1}, components=components)
    if wrong := list(configuration.misplaced(config)):
        raise GanlabError(" ".join(wrong))
    if "generator" in networks:
        own_networks.try_out(networks["generator"], networks.get("discriminator"), classes)
    return config, networks


def _or(given: Any, default: Any) -> Any:
    """Return what is given, or the default for None."""
    return default if given is None else given


def _numbers(latent_dim: Annotated[int, at_least(1)] | None, num_classes: Annotated[int, at_least(0)] | None) -> None:
    """Declare the types and ranges of arguments of `ganlab.GANModule.of` that no section has."""


def of_data(name: str, options: Mapping[str, Any], **data: Any) -> Config:
    """A configuration of a data set alone.

    Args:
        options: The data set's own.
        data: Those that every data set has, see `ganlab.config.sections.DataOptions`.

    Raises:
        GanlabError: If one is wrong.
    """
    known = sections.options()["data"]
    found, problems = schema.check(known, data, "data")
    if problems:
        raise GanlabError(" ".join(problems))
    values = _sections({}, None)
    values["data"] = sections.DataOptions(**found)
    if not isinstance(name, str):
        raise GanlabError(f"data must be the name of a data set, got {shown(name)}.")
    return Config(**values, clip={}, around={}, trainer={}, components={"data": parts.one("data", {name: options})})


def with_optimizers(config: Config, players: Sequence[str], optimizer: Any, lr: Any) -> Config:
    """The configuration with an optimizer for each player.

    Raises:
        GanlabError: If one is wrong.
    """
    chosen, rates = parts.by_player("optimizer", optimizer, players), parts.by_player("lr", lr, players)
    default = kinds.KINDS["optimizer"].default
    made = {f"optimizer.{p}": parts.optimizer(p, _or(chosen[p], default), rates[p]) for p in players}
    return replace(config, components={**config.components, **made})


def shares(given: Sequence[float] | None, classes: int) -> Tensor | None:
    """The share of each class among generated images; None: there are no classes.

    Raises:
        GanlabError: If they are not one positive number a class.
    """
    if not classes:
        if given is not None:
            raise GanlabError("label_shares is given, but the networks take no labels: leave it out.")
        return None
    found = torch.full((classes,), 1 / classes) if given is None else torch.as_tensor(given, dtype=torch.float32)
    if found.shape != (classes,) or not bool((found >= 0).all()) or not float(found.sum()) > 0:
        raise GanlabError(f"label_shares must be {classes} numbers of at least 0, one a class, got {shown(given)}.")
    return found if given is None else found / found.sum()


def storable(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as a checkpoint keeps them: plain values, and None for each object.

    Objects, the networks among them, are given again to `load_from_checkpoint`; their names are under ``objects``.
    """
    found: dict[str, Any] = {}
    objects = []
    for name, value in arguments.items():
        try:
            found[name] = schema.plain(value.tolist() if isinstance(value, Tensor) else value)
        except TypeError:
            objects.append(name)
    return {"arguments": found, "objects": objects}


def _networks(given: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, nn.Module]:
    latent_dim, num_classes = options.get("latent_dim"), options.get("num_classes")
    found: dict[str, nn.Module] = {}
    for kind, network in given.items():
        if network is None:
            continue
        if kind == "generator":
            found[kind] = own_networks.generator(network, latent_dim, num_classes)
        elif kind == "discriminator":
            found[kind] = own_networks.discriminator(network, num_classes)
        else:
            found[kind] = network
    return found


def _own(network: nn.Module) -> Any:
    """The network that was given."""
    own = isinstance(network, (own_networks.OwnGenerator, own_networks.OwnDiscriminator))
    return network.network if own else network


def _game(game: Component, options: Mapping[str, Any]) -> Component:
    """The game with further options.

    Raises:
        GanlabError: If it has no such options.
    """
    known = schema.options(game.maker, kinds.given("game"))
    for name in options:
        if name not in known:
            arguments = (
                *OBJECTS,
                *GENERAL,
                *DATA,
                "lr",
                "latent_dim",
                "num_classes",
                "label_shares",
                "clip",
                "ema",
                "metrics",
                "features",
            )
            near = suggestion(name, {*arguments, *known, *kinds.networks()})
            raise GanlabError(f"GANModule.of has no argument {name!r}, and {game.typed} has no such option.{near}")
    return parts.one("game", {game.name: {**game.options, **options}}) if options else game


def _sections(given: Mapping[str, Any], ema: Any) -> dict[str, Any]:
    """The sections of a configuration; all options but these have their defaults."""
    known = sections.options()
    general, problems = schema.check(known[""], {n: v for n, v in given.items() if n in GENERAL}, "")
    data, wrong = schema.check(known["data"], {n: v for n, v in given.items() if n in DATA}, "")
    if not isinstance(ema, Mapping | None):
        raise GanlabError(f"ema must be a mapping such as {{'half_life_kimg': 10}}, got {shown(ema)}.")
    options = {str(name): value for name, value in (ema or {}).items()}
    average, of_average = schema.check(known["ema"], options, "ema", schedules.among(options))
    if problems := [*problems, *wrong, *of_average]:
        raise GanlabError(" ".join(problems))
    own = {"data": data, "ema": average}
    return {**general, **{name: section(**own.get(name, {})) for name, section in sections.SECTIONS.items()}}


def refuse_steps(config: Config) -> None:
    """Refuse schedules in steps where the batch is not known.

    Raises:
        GanlabError: If an option has one.
    """
    for part in config.components.values():
        for name in part.scheduled:
            if any(unit.endswith("_steps") for unit in schedules.units(part.arguments[name])):
                raise GanlabError(
                    f"{part.key}.{name} counts in steps, and a step's images are not known: give batch_size=64, the "
                    f"images of one turn over all processes, or count in kimg."
                )
