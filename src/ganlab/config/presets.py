"""Components and values that a choice adds to a configuration, cached until one of its files changes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ganlab.config import catalog, option_table
from ganlab.config.catalog import Choice, Key, spell
from ganlab.config.schema import COMPONENT, Option
from ganlab.core import kinds, registry
from ganlab.core.errors import sentence

_RUN = ("", "train")  # the composition of a run for which nothing is said


@dataclass(frozen=True)
class Part:
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
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ""
    comments = (line.lstrip("# ").strip() for line in lines if line.startswith("#") and "@package" not in line)
    return next(filter(None, comments), "") if lines and lines[0].startswith("#") else ""


def summary(choice: Choice) -> str:
    """Describe a choice in one line."""
    kind = catalog.groups()[choice.group].kind_of(choice)
    if kind is not None:
        return option_table.read(kind, choice.name).summary
    said = title(choice.preset) if choice.preset is not None else ""
    if said:
        return said
    found = composition(catalog.groups()[choice.group].address, choice.name)
    if choice.preset is None:
        return option_table.read(found.parts[0].kind, found.parts[0].name).summary if found.parts else ""
    set_here = ", ".join(f"{key.rpartition('.')[2]}={spell(value)}" for key, value in found.values.items())
    composed = " + ".join(dict.fromkeys(part.name for part in found.parts))
    return found.problem or " with ".join(filter(None, [composed, set_here]))


def keys(path: str, name: str) -> list[Key]:
    """Every option that ``path=name`` brings into the configuration, with the preset's defaults.

    Raises:
        GanlabError: If there is no such choice.
    """
    found = composition(path, name)
    values = dict(found.values)
    listed: list[Key] = []
    for part in found.parts:
        for option in option_table.read(part.kind, part.name).options:
            key = f"{part.key}.{option.name}"
            listed.append(Key(key, replace(option, default=values.pop(key, option.default))))
    return listed + [Key(key, Option(key.rpartition(".")[2], "", value)) for key, value in values.items()]


def trainer_keys() -> list[Key]:
    """List the options under ``trainer.``: those of Lightning's Trainer that ganlab does not set itself."""
    own = {key.key: key for key in keys("trainer", "default")}
    options = option_table.read(*option_table.TRAINER).options
    return [*own.values(), *(Key(f"trainer.{o.name}", o) for o in options if f"trainer.{o.name}" not in own)]


def composition(path: str, name: str) -> Composition:
    """The components that ``path=name`` brings, and the values that presets set on them.

    Raises:
        GanlabError: If there is no such choice.
    """
    choice = catalog.find(path, name)
    group = catalog.group_of(path)
    kind = group.kind_of(choice)
    if kind is None:
        return _composed((group.address, name))
    where = group.where(name)
    if group.offers(choice):
        return Composition((Part(kind, name, where),))
    of_run = {key.key: key.option.default for key in catalog.run_keys()}
    options = [f"{where}.{option}" for option in option_table.read(kind, name).node]
    return Composition((Part(kind, name, where),), {key: of_run[key] for key in options if key in of_run})


def _composed(what: tuple[str, str]) -> Composition:
    """Compose a preset, or read it from the cache if none of its files changed."""
    known = _known()
    target = "/".join(filter(None, what))
    if target in known and all(_stamp(path) == stamp for path, stamp in known[target]["uses"].items()):
        parts, values = known[target]["parts"], known[target]["values"]
        return Composition(tuple(Part(*part) for part in parts), values)
    try:
        uses, nodes = _ask_hydra(target)
        found = _differences(nodes, _composed(_RUN).values if what[0] == "experiment" else {})
    except Exception as error:  # whatever Hydra makes of a preset that is a number, no text, or a loop of references
        return Composition(problem=f"It cannot be read: {sentence(error)}")
    known[target] = {
        "uses": {path: _stamp(path) for path in uses},
        "parts": [[part.kind, part.name, part.key] for part in found.parts],
        "values": found.values,
    }
    option_table.write_lines(_file(), "", known.items())
    return found


def _file() -> Path:
    return option_table.cache_file("presets", *(str(folder) for _, folder in catalog.preset_folders()))


@registry.kept
def _memory() -> dict[Path, dict[str, Any]]:
    return {}


def _known() -> dict[str, Any]:
    """Return the cached compositions for the present folders of presets."""
    file = _file()
    if file not in _memory():
        _memory()[file] = dict(option_table.read_lines(file, ""))
    return _memory()[file]


def _stamp(path: str) -> list[Any] | str:
    """Return what changes with whatever Hydra finds under a path such as ``loss/hinge``."""
    group, _, name = path.rpartition("/")
    for _, folder in catalog.preset_folders():
        for file in (folder / f"{path}.yaml", folder / group.partition("/")[0] / f"{name}.yaml"):
            if os.path.isfile(file):
                return [*option_table.stamp(file)]
    return option_table.key(group.partition("/")[0], name)


def _ask_hydra(target: str) -> tuple[list[str], dict[str, Any]]:
    """(paths of all that is merged, what comes of it): of an experiment the whole run, of others what is their own."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from ganlab.config import component_source

    group, _, name = target.partition("/")
    of_run = group == "experiment"
    config_name, overrides = ("train", [f"experiment={name}"]) if of_run else (target, [])
    GlobalHydra.instance().clear()
    component_source.install()
    with initialize_config_dir(str(catalog.conf_dir()), job_name="ganlab", version_base="1.3"):
        composed: Any = OmegaConf.to_container(compose(config_name, overrides))
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        merged = hydra.config_loader.compute_defaults_list(config_name, overrides, RunMode.RUN).defaults
    used = [d.config_path for d in merged if d.config_path and not d.config_path.startswith("hydra/")]
    json.dumps(composed)  # a ValueError if its references go in a circle
    return used, composed


def _differences(nodes: Mapping[str, Any], base: Mapping[str, Any]) -> Composition:
    """The components in what was composed, and the values that neither they nor ``base`` have by default."""
    parts = [*_parts(nodes)]
    defaults = dict(base)
    for part in parts:
        node = option_table.read(part.kind, part.name).node
        defaults.update({f"{part.key}.{option}": value for option, value in node.items()})
    marker = object()
    values = {key: value for key, value in catalog.leaves(nodes) if defaults.get(key, marker) != value}
    return Composition(tuple(parts), values)


def _parts(nodes: Mapping[str, Any]) -> list[Part]:
    found = []
    for kind in kinds.of_run():
        node = nodes.get(kind)
        inner = {f"{kind}.{name}": n for name, n in node.items()} if isinstance(node, Mapping) else {}
        for key, each in {kind: node, **inner}.items():
            if isinstance(each, Mapping) and isinstance(each.get(COMPONENT), str):
                found.append(Part(kind, each[COMPONENT], key))
    return found
