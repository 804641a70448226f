"""The configuration of a run: checked once, and from then on a typed object."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ganlab.config import component, schema, sections
from ganlab.config.component import Component
from ganlab.config.schema import COMPONENT
from ganlab.config.sections import SECTIONS, GeneralOptions, Sections
from ganlab.core import code_files, kinds, schedules
from ganlab.core.errors import GanlabError, suggestion


@dataclass(frozen=True, kw_only=True)
class Config(GeneralOptions, Sections):
    """The configuration of a run.

    Args:
        clip: Largest gradient norm of each player, or None.
        around: Callbacks, loggers and instruments by kind and name, which `ganlab.runs.around` finds when training
            starts.
        trainer: Options of Lightning's Trainer, which `ganlab.runs.trainer` checks.
        components: The components by their keys: ``loss``, ``reg.sn``, ``optimizer.generator``.
    """

    clip: Mapping[str, float | None]
    around: Mapping[str, Mapping[str, Mapping[str, Any]]]
    trainer: Mapping[str, Any]
    components: Mapping[str, Component]

    def __getitem__(self, key: str) -> Component:
        """The component at ``key``."""
        return self.components[key]

    def __contains__(self, key: str) -> bool:
        """Tell if there is a component at ``key``."""
        return key in self.components

    def of(self, kind: str) -> dict[str, Component]:
        """The components of a kind of which a run has several, such as ``reg``, by name (``optimizer``: by player)."""
        return {key.partition(".")[2]: part for key, part in self.components.items() if key.startswith(f"{kind}.")}

    def roles(self, kinds: Collection[str]) -> dict[str, Component]:
        """The components of single kinds that the run has, by kind."""
        return {kind: self.components[kind] for kind in kinds if kind in self.components}

    @property
    def regularizers(self) -> dict[str, Component]:
        """Regularizers by name; before them an augmentation, by its kind."""
        several = (self.of(kind) for kind in kinds.at("hooks") if kinds.KINDS[kind].nested)
        return self.roles(kinds.single_hooks()) | {name: part for parts in several for name, part in parts.items()}

    @property
    def max_steps(self) -> int:
        """Iterations of the run; -1: as many as it takes."""
        steps = self.trainer.get("max_steps")
        return steps if isinstance(steps, int) else -1

    def plain(self) -> dict[str, Any]:
        """The configuration as plain containers, as ``config.yaml`` has it."""
        found: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(GeneralOptions)}
        found |= schema.plain({name: asdict(getattr(self, name)) for name in SECTIONS})
        found.update(clip=dict(self.clip), trainer=dict(self.trainer))
        for kind, of in kinds.KINDS.items():
            if of.place == "around":
                nodes = {name: dict(node) for name, node in self.around.get(kind, {}).items()}
                found[kind] = {**found.get(kind, {}), **nodes}
            elif of.nested and of.of_run:
                found[kind] = {name: part.plain() for name, part in self.of(kind).items()}
            elif of.of_run:
                node = self.components[kind].plain() if kind in self.components else {}
                found[kind] = {**found.get(kind, {}), **node}
        if hashes := code_files.used([name for _, name in component_names(found)]):
            found[code_files.OPTION] = hashes
        return found


def checked(plain: Mapping[str, Any]) -> Config:
    """Check every option that can be checked without data.

    Args:
        plain: As `ganlab.config.compose.composed` gives it, or read from a run folder.

    Raises:
        GanlabError: With every mistake, one sentence each; or if a component is not installed.
    """
    problems = list(_of_wrong_form(plain))
    if problems:
        raise GanlabError(" ".join(problems))
    values, problems = _sections(plain)
    components = {}
    for kind, key, node in _nodes(plain):
        components[key], wrong = component.read(kind, key, node)
        problems += wrong
        if kinds.KINDS[kind].place != "images":  # networks can be sampled without data; opening it checks the rest
            problems += components[key].missing
    problems += [
        f"The configuration has no {kind}: choose one as {kind}=NAME, see `ganlab list {kind}`."
        for kind, of in kinds.KINDS.items()
        if of.of_run and not of.optional and not of.nested and kind not in components
    ]
    if problems:
        raise GanlabError(" ".join(problems))
    around = {kind: named(kind, plain.get(kind) or {}) for kind in kinds.at("around")}
    config = Config(**values, trainer=dict(plain.get("trainer") or {}), around=around, components=components)
    if wrong := list(misplaced(config)):
        raise GanlabError(" ".join(wrong))
    return config


def component_names(plain: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The kinds and names of all components of a configuration."""
    evaluate = plain.get("evaluate")
    found: list[tuple[str, Any]] = []
    if isinstance(evaluate, Mapping):
        metrics = evaluate.get("metrics")
        found += [("metric", metric) for metric in (metrics if isinstance(metrics, list | tuple) else ())]
        found += [("features", evaluate.get("features"))]
    for kind, of in kinds.KINDS.items():
        node = plain.get(kind)
        inner = [*node.items()] if isinstance(node, Mapping) else []
        nodes = inner if of.nested else [(None, node)]
        found += [(kind, each.get(COMPONENT, name)) for name, each in nodes if isinstance(each, Mapping)]
    return [(kind, name) for kind, name in found if isinstance(name, str)]


def named(kind: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """The nodes of the components in the node of a kind of which a run has several, without the options of a section
    of that name."""
    of_section = sections.options().get(kind, ())
    return {name: inner for name, inner in node.items() if name not in of_section}


def misplaced(config: Config) -> Iterator[str]:
    """A sentence for each role of the game that is empty, and each filled one that it does not have."""
    game, takes = config["game"].typed, schema.takes(config["game"].maker)
    for role in kinds.roles():
        what = kinds.KINDS[role].what
        if role in takes and role not in config:
            a = "an" if what[0] in "aeiou" else "a"
            yield f"{game} needs {a} {what}: choose one as {role}=NAME, see `ganlab list {role}`."
        elif role not in takes and role in config:
            yield f"{game} has no place for {config[role].typed}: it plays without, write {role}=none."


def _of_wrong_form(plain: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each part that is no mapping of options, and each that no run has."""
    general = {f.name for f in fields(GeneralOptions)}
    known = {*general, *SECTIONS, "clip", "trainer", code_files.OPTION, *kinds.of_run()}
    for name, node in plain.items():
        if name not in known:
            yield f"{name} is no option of a run.{suggestion(str(name), known)}"
        elif name == "clip" and not isinstance(node, Mapping | None):
            yield f"clip must be a limit for each player, such as clip.generator=1.0, got {node!r}."
        elif name not in general and node is not None:
            nested = name in kinds.KINDS and kinds.KINDS[name].nested
            nodes = [node, *named(name, node).values()] if isinstance(node, Mapping) and nested else [node]
            for each in nodes:
                if not isinstance(each, Mapping) or not all(isinstance(key, str) for key in each):
                    yield f"{name} must be a mapping of options, got {each!r}."
                    break


def _sections(plain: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The options that every run has, by section, and a sentence for each that is wrong."""
    known = sections.options()
    values, problems = schema.check(known[""], {name: plain[name] for name in known[""] if name in plain}, "")
    for name, section in SECTIONS.items():
        node = plain.get(name) or {}
        if name in kinds.KINDS:  # a section that a component's own options share
            node = {option: value for option, value in node.items() if option in known[name]}
        following = schedules.among(node) if name in sections.SCHEDULED else ()
        found, wrong = schema.check(known[name], node, name, following)
        problems += wrong
        if not wrong:
            values[name] = section(**found)
    limits = plain.get("clip") or {}
    players = {**dict.fromkeys(limits, known["clip"]["generator"]), **known["clip"]}
    found, wrong = schema.check(players, limits, "clip")
    values["clip"] = {**dict.fromkeys(known["clip"]), **found}
    problems += wrong
    return values, problems


def _nodes(plain: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(kind, key, node) of each component; options without a component are of a role that the game does not have."""
    for kind, of in kinds.KINDS.items():
        node = plain.get(kind) or {}
        if of.place in ("around", "evaluation"):
            continue
        if of.nested:
            for name, inner in node.items():
                yield kind, f"{kind}.{name}", {COMPONENT: name, **inner}
        elif COMPONENT in node:
            yield kind, kind, named(kind, node)
