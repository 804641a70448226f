"""Components and values that a choice adds to a configuration, cached until one of its files changes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ganlab.config import catalog, option_table
from ganlab.config.catalog import Choice
from ganlab.config.option_table import OWN
from ganlab.config.schema import COMPONENT, Option, spell
from ganlab.core import cache, kinds, registry
from ganlab.core.errors import sentence


class Part(NamedTuple):
    """A component in a configuration, with the key of its options, such as ``reg.sn``."""

    kind: str
    name: str
    key: str


@dataclass(frozen=True)
class Composition:
    """The result of composing a choice.

    Args:
        parts: Its components.
        values: What it sets itself, by full key.
        problem: Why it cannot be composed, as a sentence; "" if it can.
    """

    parts: tuple[Part, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


def title(file: Path) -> str:
    """The first line of a preset's first comment."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    comments = (line.lstrip("# ").strip() for line in text.splitlines() if line[:1] == "#" and "@package" not in line)
    return next(filter(None, comments), "") if text.startswith("#") else ""


def summary(choice: Choice) -> str:
    """Describe a choice in one line."""
    group = catalog.groups()[choice.group]
    if (kind := group.kind_of(choice)) is not None:
        return option_table.read(kind, choice.name).summary
    said = title(choice.preset) if choice.preset is not None else ""
    if said:
        return said
    found = composition(group.address, choice.name)
    if choice.preset is None:
        return option_table.read(found.parts[0].kind, found.parts[0].name).summary if found.parts else ""
    set_here = ", ".join(f"{key.rpartition('.')[2]}={spell(value)}" for key, value in found.values.items())
    composed = " + ".join(dict.fromkeys(part.name for part in found.parts))
    return found.problem or " with ".join(filter(None, [composed, set_here]))


def keys(path: str, name: str) -> list[Option]:
    """Every option that ``path=name`` brings into the configuration, by its key, with the preset's defaults.

    Raises:
        GanlabError: If there is no such choice.
    """
    found = composition(path, name)
    values = dict(found.values)
    options = [o.at(part.key) for part in found.parts for o in option_table.read(part.kind, part.name).options]
    listed = [replace(option, default=values.pop(option.name, option.default)) for option in options]
    return listed + [Option(key, "", value) for key, value in values.items()]


def trainer_keys() -> list[Option]:
    """List the options under ``trainer.``: those of Lightning's Trainer that ganlab does not set itself."""
    own = {option.name: option for option in keys("trainer", "default")}
    others = [option.at("trainer") for option in option_table.read(*option_table.TRAINER).options]
    return [*own.values(), *(option for option in others if option.name not in own)]


def composition(path: str, name: str) -> Composition:
    """The components that ``path=name`` brings, and the values that presets set on them.

    Raises:
        GanlabError: If there is no such choice.
    """
    choice = catalog.find(path, name)
    group = catalog.group_of(path)
    kind = group.kind_of(choice)
    if kind is None:
        return _composed(group.address, name)
    part = Part(kind, name, group.where(name))
    own = {} if group.offers(choice) else {option.name: option.default for option in catalog.run_keys()}
    keys = [f"{part.key}.{option}" for option in option_table.read(kind, name).node] if own else []
    return Composition((part,), {key: own[key] for key in keys if key in own})


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (full key, value) of a nested mapping; options of a component are whole values, its name is none."""
    for name, value in node.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, Mapping) and COMPONENT not in node:
            yield from leaves(value, key)
        elif name != COMPONENT:
            yield key, value


def _composed(group: str, name: str) -> Composition:
    """Compose a preset, or "" and ``train``, a run for which nothing is said; or read it if no file of it changed."""
    known, target = _rows(*(folder for _, folder in catalog.preset_folders())), f"{group}/{name}".lstrip("/")
    row = known.get(target)
    if row is None or any(_stamp(path) != stamp for path, stamp in row["uses"].items()):
        try:
            uses, nodes = _ask_hydra(target)
            found = _differences(nodes, _composed("", "train").values if group == "experiment" else {})
        except (
            Exception
        ) as error:  # whatever Hydra makes of a preset that is a number, no text, or a loop of references
            return Composition(problem=f"It cannot be read: {sentence(error)}")
        row = known[target] = {"uses": {path: _stamp(path) for path in uses}, "found": asdict(found)}
        known.write()
    return Composition(tuple(Part(*part) for part in row["found"]["parts"]), row["found"]["values"])


@registry.kept
def _rows(*folders: Path) -> cache.Rows:
    return cache.Rows("presets", option_table.key("", OWN), *folders)


def _stamp(path: str) -> list[Any] | str:
    """Return what changes with whatever Hydra finds under a path such as ``loss/hinge``."""
    group, _, name = path.rpartition("/")
    for _, folder in catalog.preset_folders():
        for file in (folder / f"{path}.yaml", folder / group.partition("/")[0] / f"{name}.yaml"):
            if os.path.isfile(file):
                return option_table.stamp(file)
    return option_table.key(group.partition("/")[0], name)


def _ask_hydra(target: str) -> tuple[list[str], dict[str, Any]]:
    """(paths of all that is merged, what comes of it): of an experiment the whole run, of others what is their own."""
    from omegaconf import OmegaConf

    from ganlab.config import compose

    group, _, name = target.partition("/")
    with compose.hydra() as loader:
        whole = group == "experiment"
        node = compose.compose("train" if whole else target, [f"experiment={name}"] if whole else [])
    composed: Any = OmegaConf.to_container(node)
    json.dumps(composed)  # a ValueError if its references go in a circle
    return [d.config_path for d in loader.merged if d.config_path and not d.config_path.startswith("hydra/")], composed


def _differences(nodes: Mapping[str, Any], base: Mapping[str, Any]) -> Composition:
    """The components in what was composed, and the values that neither they nor ``base`` have by default."""
    parts = tuple(_parts(nodes))
    described = [(part.key, option_table.read(part.kind, part.name).node) for part in parts]
    defaults = {**base, **{f"{key}.{option}": value for key, node in described for option, value in node.items()}}
    return Composition(parts, {k: value for k, value in leaves(nodes) if k not in defaults or defaults[k] != value})


def _parts(nodes: Mapping[str, Any]) -> Iterator[Part]:
    for kind in kinds.of_run():
        node = nodes.get(kind)
        inner = {f"{kind}.{name}": n for name, n in node.items()} if isinstance(node, Mapping) else {}
        for key, each in {kind: node, **inner}.items():
            if isinstance(each, Mapping) and isinstance(each.get(COMPONENT), str):
                yield Part(kind, each[COMPONENT], key)
