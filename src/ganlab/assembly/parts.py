"""Components of a configuration from what a caller in Python gives: names with options, or objects.

Neither Hydra nor Lightning is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ganlab.config import bundle, component, schema
from ganlab.config.component import Component
from ganlab.config.schema import COMPONENT
from ganlab.core import kinds
from ganlab.core.errors import GanlabError, shown

Given: TypeAlias = Any
"""A name, ``{name: {option: value}}``, or an object."""


def one(kind: str, given: Given, key: str | None = None) -> Component:
    """The component that is given: by its name, with options as ``{"r1": {"gamma": 1.0}}``, or as an object.

    Args:
        key: Its key in messages and in random numbers; None: the kind, and the name where a run has several.

    Raises:
        GanlabError: If there is none of this name, or an option is wrong.
    """
    if isinstance(given, Mapping):
        if len(given) != 1:
            raise GanlabError(
                f"{kind} must be a name, one name with its options as {{'name': {{'option': value}}}}, or an object; "
                f"got {shown(dict(given))}."
            )
        name, options = next(iter(given.items()))
        return _named(kind, str(name), options, key)
    return _named(kind, given, {}, key) if isinstance(given, str) else _object(kind, given, key)


def several(kind: str, given: Given | Sequence[Given]) -> dict[str, Component]:
    """The components of a kind of which a run has several, by their keys.

    Args:
        given: One, a list of them, or ``{name: options}`` with a name for each.

    Raises:
        GanlabError: As `one`, and if a name comes twice.
    """
    found: dict[str, Component] = {}
    for each in _each(given):
        made = one(kind, each)
        if made.key in found:
            raise GanlabError(f"{kind} has {made.name!r} twice: give it once, or two objects of other classes.")
        found[made.key] = made
    return found


def unbundled(loss: Given, reg: Given | Sequence[Given]) -> tuple[Given, Given | Sequence[Given]]:
    """The loss and the regularizers, where the loss is a preset of both, such as ``wgan_gp``.

    Options of the loss and of a regularizer by the same name replace those of the preset.

    Raises:
        GanlabError: If the preset has other components too.
    """
    name, options = next(iter(loss.items())) if isinstance(loss, Mapping) and len(loss) == 1 else (loss, {})
    preset = bundle.read("loss", name) if isinstance(name, str) else None
    if preset is None:
        return loss, reg
    if len(preset.get("loss", {})) != 1 or not preset.keys() <= {"loss", "reg"}:
        raise GanlabError(f"loss={name} is a preset of more than a loss and regularizers: give its components by name.")
    ((chosen, own),) = preset["loss"].items()
    regularizers = {n: {n: o} for n, o in preset.get("reg", {}).items()}
    others = []
    for each in _each(reg):
        single = {each: {}} if isinstance(each, str) else each
        same = next(iter(single)) if isinstance(single, Mapping) and len(single) == 1 else None
        if same in regularizers:
            regularizers[same] = {same: {**regularizers[same][same], **_options("reg", same, single[same])}}
        else:
            others.append(each)
    return {chosen: {**own, **_options("loss", name, options)}}, [*regularizers.values(), *others]


def by_player(kind: str, given: Any, players: Sequence[str]) -> dict[str, Any]:
    """The value of each player: the one that is given for its name, or one for all of them.

    Raises:
        GanlabError: If a mapping names some players and something else.
    """
    if not isinstance(given, Mapping) or not set(given) & set(players):
        return dict.fromkeys(players, given)
    if other := sorted(set(given) - set(players)):
        raise GanlabError(f"{kind} names {other[0]!r}, and the game's players are {', '.join(players)}.")
    return {player: given.get(player) for player in players}


def optimizer(player: str, given: Given, lr: Any) -> Component:
    """A player's optimizer: a name, with options as ``{"adam": {"betas": [0.5, 0.999]}}``, or a function of parameters.

    Args:
        lr: Its learning rate, or a schedule of it as on the command line; None: its own default.

    Raises:
        GanlabError: As `one`.
    """
    key = f"optimizer.{player}"
    rate = {} if lr is None else {"lr": lr}
    if callable(given):  # torch.optim.Adam, or one of ganlab.optimizers
        return Component("optimizer", key, getattr(given, "__name__", type(given).__name__), rate, rate, given)
    if not isinstance(given, str | Mapping) or (isinstance(given, Mapping) and len(given) != 1):
        raise GanlabError(
            f"optimizer must be a name, one name with its options, or a function of parameters such as "
            f"torch.optim.Adam; got {shown(given)}."
        )
    name, options = (given, {}) if isinstance(given, str) else next(iter(given.items()))
    options, preset = _options("optimizer", name, options), bundle.read("optimizer", str(name))
    if preset is not None:
        ((name, own),) = preset["optimizer"].items()
        options = {**own, **options}
    return one("optimizer", {name: {**options, **rate}}, key)


def _each(given: Given | Sequence[Given]) -> Sequence[Given]:
    """A list of what is given: one, a list, or ``{name: options}`` with a name for each."""
    if isinstance(given, Mapping):
        return [{name: options} for name, options in given.items()]
    return [given] if isinstance(given, str) or not isinstance(given, Sequence) else given


def _named(kind: str, name: str, options: Any, key: str | None) -> Component:
    key = key or (f"{kind}.{name}" if kinds.of(kind).many else kind)
    found = {}
    for option, value in _options(kind, name, options).items():
        try:
            found[str(option)] = schema.plain(value)
        except TypeError as error:
            raise GanlabError(
                f"{key}.{option} must be a number, a word, or a list or mapping of them, got {shown(value)}."
            ) from error
    return component.checked(kind, key, {**found, COMPONENT: name})


def _options(kind: str, name: Any, options: Any) -> Mapping[str, Any]:
    """The options of a name; None: none."""
    if not isinstance(options, Mapping | None):
        raise GanlabError(f"{kind}: the options of {name!r} must be a mapping, got {shown(options)}.")
    return options or {}


def _object(kind: str, given: Any, key: str | None) -> Component:
    name = type(given).__name__
    if isinstance(given, type):
        raise GanlabError(
            f"{kind} must be a name or an object, got the class {given.__name__}: write {given.__name__}()."
        )
    key = key or (f"{kind}.{name}" if kinds.of(kind).many else kind)
    return Component(kind, key, name, {}, {}, lambda: given)
