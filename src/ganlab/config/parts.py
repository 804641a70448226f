"""The components that a configuration names, with checked arguments, before data is opened or a network built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from ganlab.config import compatibility, run_keys, schema
from ganlab.config.schema import COMPONENT
from ganlab.core import kinds, registry, schedules
from ganlab.core.errors import GanlabError, sentence
from ganlab.core.schedules import Scheduled

Config = dict[str, Any]


@dataclass
class Part:
    """A component, its checked arguments, and where it stands in the configuration."""

    kind: str
    key: str
    component: Any
    arguments: dict[str, Any]
    problems: list[str]

    def make(self) -> Any:
        """Construct it; a ``ValueError`` becomes a sentence that names the override key.

        Numbers that follow a schedule stand where it begins; those where it ends are checked as well.
        """
        changing = {
            name: to_schedule(f"{self.key}.{name}", value, 1)
            for name, value in self.arguments.items()
            if schedules.is_schedule(value)
        }
        built = self._constructed({name: schedule(0) for name, schedule in changing.items()}, self.key)
        if changing:
            with torch.random.fork_rng(devices=[]):
                ends = {name: schedule.end_value for name, schedule in changing.items()}
                self._constructed(ends, f"{self.key}, where its schedules end")
        return built

    def _constructed(self, changing: Mapping[str, float], where: str) -> Any:
        try:
            built = self.component(**{**self.arguments, **changing})
        except (ValueError, ArithmeticError, RuntimeError) as error:  # torch's own are RuntimeErrors
            raise GanlabError(f"{where}: {sentence(error)}") from error
        if lacking := registry.unfinished(self.kind, built):
            raise GanlabError(f"{where}: {lacking}")
        return built

    def scheduled(self, built: Any, images_per_step: int | None) -> list[Scheduled]:
        """What makes the numbers of ``built`` follow their schedules."""
        found = []
        for name, value in self.arguments.items():
            if schedules.is_schedule(value):
                if not isinstance(getattr(built, name, None), (int, float)):
                    raise GanlabError(
                        f"{self.key}.{name} cannot follow a schedule: {type(built).__name__} does not keep it as a "
                        f"number of that name. Give one number."
                    )
                schedule = to_schedule(f"{self.key}.{name}", value, images_per_step)
                found.append(Scheduled(schedule, partial(object.__setattr__, built, name)))
        return found


def read_part(kind: str, key: str, node: Any) -> Part:
    """The component that a node of the configuration names; what is wrong with its options is kept in the part.

    Raises:
        GanlabError: If the node names no component that is installed.
    """
    if not isinstance(node, Mapping) or not isinstance(node.get(COMPONENT), str):
        raise GanlabError(f"The configuration has no {kind}: choose one as {key}=NAME, see `ganlab list`.")
    component = registry.load(kind, node[COMPONENT])
    values = {name: value for name, value in node.items() if name != COMPONENT}
    arguments, problems = schema.check(kind, component, values, key)
    return Part(kind, key, component, arguments, problems)


def raise_problems(parts: list[Part]) -> None:
    """Refuse what is wrong with all of ``parts`` at once.

    Raises:
        GanlabError: If there is anything, one sentence each.
    """
    problems = [problem for part in parts for problem in part.problems]
    if problems:
        raise GanlabError(" ".join(problems))


def to_schedule(key: str, value: Mapping[str, Any], images_per_step: int | None) -> schedules.Schedule:
    """The schedule that stands at ``key``.

    Args:
        images_per_step: What an iteration adds to images seen; None: it changes, so nothing is counted in steps.

    Raises:
        GanlabError: If it is none.
    """
    if images_per_step is None and any(unit.endswith("_steps") for unit in value):
        raise GanlabError(
            f"{key}: the batch changes as the networks grow, so a schedule counts in kimg (end_kimg), not in steps."
        )
    try:
        return schedules.parse(value, images_per_step or 1)
    except ValueError as error:
        raise GanlabError(f"{key}: {sentence(error)}") from error


def check_options(config: Config) -> tuple[dict[str, Part], dict[str, Part], dict[str, Part]]:
    """Check every key that can be checked without data: components, regularizers, optimizers.

    Raises:
        GanlabError: With every mistake in options, one sentence each.
    """
    run_keys.check(config)
    of_game = kinds.at("game")
    # options without a component are what a recipe sets for a role that the chosen game does not have
    empty = [kind for kind in of_game if kinds.KINDS[kind].optional and COMPONENT not in (config.get(kind) or {})]
    components = {kind: read_part(kind, kind, config.get(kind)) for kind in of_game if kind not in empty}
    # an augmentation has a regularizer's hooks, and is the first to change what the discriminator sees
    single = [kind for kind in kinds.single_hooks() if config.get(kind)]
    regularizers = {kind: read_part(kind, kind, config[kind]) for kind in single}
    regularizers.update(_nested(config, "hooks"))
    optimizers = _nested(config, "player")
    raise_problems([*components.values(), *regularizers.values(), *optimizers.values()])
    misfits = compatibility.misplaced(
        f"game={config['game'][COMPONENT]}",
        schema.takes(components["game"].component),
        {role: config[role][COMPONENT] for role in kinds.roles() if role in components},
        {role: kinds.KINDS[role].what for role in kinds.roles()},
    )
    if misfits:
        raise GanlabError(" ".join(misfits))
    return components, regularizers, optimizers


def _nested(config: Config, place: str) -> dict[str, Part]:
    """The parts of those kinds of a place whose nodes hold a node for each of several names."""
    return {
        name: read_part(kind, f"{kind}.{name}", node)
        for kind in kinds.at(place)
        if kinds.KINDS[kind].nested
        for name, node in (config.get(kind) or {}).items()
    }


def as_typed(config: Config, parts: Mapping[str, Any], regularizers: Mapping[str, Any]) -> dict[str, Any]:
    """Components of a configuration, by what one types for each: ``loss=hinge``, ``reg=sn``.

    Args:
        parts: By their kinds.
        regularizers: By their names; one that is alone of its kind, as an augmentation is, by the kind.
    """
    typed = {f"{kind}={config[kind][COMPONENT]}": part for kind, part in parts.items()}
    for name, part in regularizers.items():
        typed[f"{name}={config[name][COMPONENT]}" if name in kinds.single_hooks() else f"reg={name}"] = part
    return typed
