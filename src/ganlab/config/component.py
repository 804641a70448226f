"""A component as a configuration names it, with checked arguments, before data is opened or a network built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from ganlab.config import option_table, schema, sections
from ganlab.config.schema import COMPONENT
from ganlab.core import code_files, kinds, registry, schedules
from ganlab.core.errors import GanlabError, sentence
from ganlab.core.schedules import Scheduled


@dataclass(frozen=True)
class Component:
    """A node of the configuration such as ``reg.sn``, and the class or function that it names.

    Args:
        kind: Such as ``reg``.
        key: Its key in the configuration.
        name: Of the component.
        options: As they are written.
        arguments: The options as the constructor takes them.
        maker: The class or function.
        missing: A sentence for each option that must be given and is not.
        tables: The names of options that are mappings, whatever is in them.
    """

    kind: str
    key: str
    name: str
    options: Mapping[str, Any]
    arguments: Mapping[str, Any] = field(repr=False)
    maker: Any = field(repr=False)
    missing: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()

    @cached_property
    def scheduled(self) -> list[str]:
        """The names of the options that follow schedules."""
        return [name for name in schedules.among(self.arguments) if name not in self.tables]

    @property
    def typed(self) -> str:
        """The words that choose it on a command line: ``loss=hinge``, ``reg=sn``."""
        return f"{self.kind}={self.name}"

    def plain(self) -> dict[str, Any]:
        """The node."""
        return {COMPONENT: self.name, **self.options}

    def make(self, **given: Any) -> Any:
        """Construct it; a ``ValueError`` becomes a sentence that names the override key.

        Scheduled numbers have their first values; their last values are checked too.

        Args:
            given: Arguments that the experiment supplies.

        Raises:
            GanlabError: If it cannot be made, or lacks an attribute that its kind needs.
        """
        if self.missing:
            raise GanlabError(" ".join(self.missing))
        changing = {name: self.schedule(name, 1) for name in self.scheduled}
        built = self._constructed(given, {name: schedule(0) for name, schedule in changing.items()}, self.key)
        if changing:
            with torch.random.fork_rng(devices=[]):
                ends = {name: schedule.end_value for name, schedule in changing.items()}
                self._constructed(given, ends, f"{self.key}, where its schedules end")
        return built

    def _constructed(self, given: Mapping[str, Any], changing: Mapping[str, Any], where: str) -> Any:
        try:
            built = self.maker(**{**self.arguments, **given, **changing})
        except (ValueError, ArithmeticError, RuntimeError) as error:  # torch's own are RuntimeErrors
            raise GanlabError(f"{where}: {sentence(error)}") from error
        if lacking := registry.unfinished(self.kind, built):
            raise GanlabError(f"{where}: {lacking}")
        return built

    def follow(self, built: Any, images_per_step: int | None) -> list[Scheduled]:
        """Return the scheduled numbers of ``built``.

        Raises:
            GanlabError: If one cannot.
        """
        found = []
        for name in self.scheduled:
            schedule = self.schedule(name, images_per_step)
            if not isinstance(getattr(built, name, None), (int, float)) or isinstance(schedule, schedules.Schedules):
                raise GanlabError(
                    f"{self.key}.{name} cannot follow a schedule: {type(built).__name__} does not keep it as a "
                    f"number of that name. Give one number."
                )
            key, between = f"{self.key}.{name}", self.key in sections.SCHEDULED
            found.append(Scheduled(schedule, built, name, key, between))
        return found

    def schedule(self, name: str, images_per_step: int | None) -> schedules.Schedule | schedules.Schedules:
        """Return the schedule of an option.

        Args:
            images_per_step: Images that an iteration adds to images seen; None: it changes, so steps cannot be used.

        Raises:
            GanlabError: If it is none.
        """
        value = self.arguments[name]
        if images_per_step is None and any(unit.endswith("_steps") for unit in schedules.units(value)):
            raise GanlabError(
                f"{self.key}.{name}: the batch changes as the networks grow, so a schedule counts in kimg (end_kimg), "
                f"not in steps."
            )
        try:
            return schedules.parse_all(value, images_per_step or 1)
        except ValueError as error:
            raise GanlabError(f"{self.key}.{name}: {sentence(error)}") from error


def read(kind: str, key: str, node: Any) -> tuple[Component, list[str]]:
    """The component that a node of the configuration names, and a sentence for each option that is wrong.

    Raises:
        GanlabError: If the node names no component that is installed.
    """
    if not isinstance(node, Mapping) or not isinstance(node.get(COMPONENT), str):
        raise GanlabError(f"The configuration has no {kind}: choose one as {key}=NAME, see `ganlab list`.")
    if code_files.split(node[COMPONENT]) is not None:
        option_table.at_hand(kind, node[COMPONENT])  # a file that ends Python must not do so here
    maker = registry.load(kind, node[COMPONENT])
    options = {name: value for name, value in node.items() if name != COMPONENT}
    known = schema.options(maker, kinds.given(kind), kinds.of(kind).foreign)
    arguments, problems = schema.check(known, options, key, schedules.among(options))
    missing = schema.missing(known, options, key)
    tables = [
        n
        for n, value in arguments.items()
        if isinstance(value, Mapping) and not schema.takes_float(known[n].annotation)
    ]
    return Component(kind, key, node[COMPONENT], options, arguments, maker, tuple(missing), tuple(tables)), problems


def checked(kind: str, key: str, node: Any) -> Component:
    """The component that a node names.

    Raises:
        GanlabError: As `read`, and with a sentence for each option that is wrong.
    """
    found, problems = read(kind, key, node)
    if problems:
        raise GanlabError(" ".join(problems))
    return found
