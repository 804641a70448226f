"""Everything that can be named on a command line, found without importing any of it.

Components come from entry points and their options from source text (`ganlab.config.signatures`); presets
are YAML files in ganlab's ``conf/``, in the user's ``./conf`` and in plug-ins, in that order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ganlab.config import schema, sections, signatures
from ganlab.config.schema import REQUIRED, Option
from ganlab.config.signatures import Signature
from ganlab.core import kinds, registry
from ganlab.core.errors import GanlabError, suggestion

OWN = "ganlab"
USER = "./conf"
NONE = "none"
PRESET_GROUPS = {
    "experiment": "complete recipe",
    "model": "generator, discriminator and their optimizers",
    "trainer": "options of Lightning's Trainer",
}
_ORDER = ("experiment", "model", "generator", "discriminator", "loss", "reg", "augment")  # the others follow


@dataclass(frozen=True)
class Choice:
    """What ``group=name`` may name.

    Args:
        provider: The distribution, or ``./conf``.
        preset: Its YAML file; None for a component.
        rivals: Other distributions that claim the name.
    """

    group: str
    name: str
    provider: str = OWN
    preset: Path | None = None
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preset:
    """A YAML file of a config group.

    Args:
        summary: The first line of its first comment.
        parts: (group, name) of what it composes.
        values: What it sets itself, by full key.
    """

    text: str
    summary: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """A component as it stands in a configuration: ``reg.sn`` is where the options of ``sn`` are."""

    kind: str
    name: str
    key: str


@dataclass(frozen=True)
class Key:
    """An option with the full key that a user types."""

    key: str
    option: Option
    about: str = ""

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return bool(self.option.default == REQUIRED)


def conf_dir() -> Path:
    """ganlab's own YAML: inside the wheel, or beside ``src`` in a checkout."""
    package = Path(__file__).parents[1]
    packaged = package / "conf"
    return packaged if packaged.is_dir() else package.parents[1] / "conf"


def preset_folders() -> list[tuple[str, Path]]:
    """(provider, folder) of YAML, in the order in which they are searched; plug-ins are not imported."""
    folders = [(OWN, conf_dir())]
    user = Path.cwd() / "conf"
    if user.is_dir() and user.resolve() != conf_dir().resolve():
        folders.append((USER, user))
    for point in registry.points("ganlab.conf"):
        folder = signatures.package_folder(point.value)
        if folder is not None:
            folders.append((registry.distribution(point), folder))
    return folders


def groups() -> dict[str, str]:
    """Config groups and what they hold, in the order in which they are shown."""
    known = {**PRESET_GROUPS, **{name: kind.what for name, kind in kinds.KINDS.items()}}
    return {name: known[name] for name in dict.fromkeys([*_ORDER, *kinds.KINDS, *known])}


def run_groups() -> dict[str, str]:
    """Those of `groups` that a run's configuration is composed of."""
    return {group: what for group, what in groups().items() if group in PRESET_GROUPS or group in kinds.of_run()}


def takes_several(group: str) -> bool:
    """Whether a run may name several: ``reg=[sn,ortho]``."""
    return group in kinds.KINDS and kinds.KINDS[group].many


def is_optional(group: str) -> bool:
    """Whether ``none`` is a choice."""
    return group == "experiment" or (group in kinds.KINDS and kinds.KINDS[group].optional)


def choices(group: str) -> list[Choice]:
    """What a group offers, by name; the first provider in the search order wins."""
    found: dict[str, Choice] = {}
    for provider, folder in preset_folders():
        presets = [Choice(group, file.stem, provider, file) for file in sorted((folder / group).glob("*.yaml"))]
        for choice in presets:
            _add(found, choice)
    for choice in _components(group):
        _add(found, choice)
    return [found[name] for name in sorted(found)]


def _add(found: dict[str, Choice], choice: Choice) -> None:
    """The first of a name wins; another package that claims it is its rival. A folder of the user's is none."""
    first = found.setdefault(choice.name, choice)
    if USER not in (first.provider, choice.provider) and choice.provider not in (first.provider, *first.rivals):
        found[choice.name] = replace(first, rivals=(*first.rivals, choice.provider, *choice.rivals))


def _components(group: str) -> Iterator[Choice]:
    if group == "model":  # a generator and a discriminator of one name are a model
        for name in sorted({*registry.names("generator")} & {*registry.names("discriminator")}):
            yield Choice(group, name, _owners("generator", name)[0])
    elif group in kinds.KINDS:
        for name in registry.names(group):
            first, *others = _owners(group, name)
            yield Choice(group, name, first, rivals=tuple(others))


def _owners(kind: str, name: str) -> list[str]:
    return registry.owners(kind, name) or ["this process"]


def find(group: str, name: str) -> Choice:
    """The choice of this name in a group such as ``loss``.

    Raises:
        GanlabError: If there is no such group or choice.
    """
    known = groups()
    if group not in known:
        raise GanlabError(f"There is no kind {group!r}.{suggestion(group, known)} Kinds: {', '.join(known)}.")
    for choice in choices(group):
        if choice.name == name:
            return choice
    names = [choice.name for choice in choices(group)]
    elsewhere = [other for other in known if other != group and any(c.name == name for c in choices(other))]
    there = " and ".join(f"{other}={name}" for other in elsewhere)
    hint = f" There is {there}." if elsewhere else suggestion(name, names)
    raise GanlabError(f"No {group} is called {name!r}.{hint} Known: {', '.join(names) or NONE}.")


def signature(kind: str, name: str) -> Signature:
    """What the source of a component says; empty if there is none, or if two claim the name."""
    try:
        point = registry.find(kind, name)
    except GanlabError:
        return Signature()
    if point is None:
        component = registry.load(kind, name)
        return signatures.live(component, schema.options(component, kinds.given(kind)))
    if not point.pattern.match(point.value):  # no MODULE:CLASS, which to load it says
        return Signature()
    found = signatures.read(point.module, point.attr)
    if found.options is None:
        return found
    given = kinds.given(kind)
    return replace(found, options=tuple(o for o in found.options if o.name not in given))


def summary(choice: Choice) -> str:
    """What a choice is, in one line."""
    if choice.preset is not None:
        found = preset(choice.group, choice.preset)
        set_here = ", ".join(f"{key.rpartition('.')[2]}={spell(value)}" for key, value in found.values.items())
        composed = " + ".join(dict.fromkeys(name for _, name in found.parts))
        return found.summary or " with ".join(filter(None, [composed, set_here]))
    kind = "generator" if choice.group == "model" else choice.group
    return signature(kind, choice.name).summary


def preset(group: str, file: Path) -> Preset:
    """Read a preset; one that is no YAML says so in its summary."""
    try:
        text = file.read_text(encoding="utf-8")
        content = yaml.safe_load(text) or {}
        json.dumps(content, default=str)  # a ValueError if its references go in a circle
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        return Preset("", f"{file} cannot be read: {' '.join(str(error).split())[:60]}")
    package, title = group.replace("/", "."), ""
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        header = re.match(r"#\s*@package\s+(\S+)", line)
        if header:
            package = "" if header.group(1) == "_global_" else header.group(1)
        title = title or ("" if header else line.lstrip("# ").strip())
    if not isinstance(content, dict):
        return Preset(text, title)
    defaults = content.pop("defaults", None)
    parts = tuple(part for e in (defaults if isinstance(defaults, list) else []) for part in _entry(group, e))
    return Preset(text, title, parts, dict(_leaves(content, package)))


def _entry(group: str, entry: Any) -> list[tuple[str, str]]:
    """An entry of a Hydra defaults list as (group, name)."""
    if isinstance(entry, Mapping) and entry:
        (where, names), *_ = entry.items()
        where = str(where).removeprefix("override ").removeprefix("optional ").partition("@")[0].strip()
        absolute = where.startswith("/") or group in ("", "experiment")
        where = where.lstrip("/") if absolute else f"{group}/{where}"
        listed = names if isinstance(names, list) else [names]
        return [(where, str(name)) for name in listed if name not in (None, NONE) and not where.startswith("hydra")]
    word = str(entry).partition("@")[0]
    if word == "_self_":
        return []
    where, _, name = word.rpartition("/")
    return [(where.lstrip("/") if word.startswith("/") else f"{group}/{where}".rstrip("/"), name)]


def _leaves(node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, dict) and value:
            yield from _leaves(value, key)
        else:
            yield key, value


def compose(group: str, name: str, seen: Sequence[tuple[str, str]] = ()) -> tuple[list[Part], dict[str, Any]]:
    """The components that ``group=name`` brings, and the values that presets set on them, by key."""
    choice = find(group.partition("/")[0], name)
    if choice.preset is None and group != "model":
        kind = kinds.KINDS[choice.group]
        if (section := kind.always.get(name)) is not None:  # of every run, and so are its options
            own = [key for key in run_keys() if key.key.startswith(f"{section}.")]
            return [Part(choice.group, name, section)], {key.key: key.option.default for key in own}
        several = f"{group}.{name}" if kind.of_run else name  # fid.blocks=20, and not metric.fid.blocks=20
        return [Part(choice.group, name, several if kind.many else group.replace("/", "."))], {}
    both = tuple((part, name) for part in ("generator", "discriminator"))
    inner = Preset("", parts=both) if choice.preset is None else preset(group, choice.preset)
    parts: list[Part] = []
    values: dict[str, Any] = {}
    for part in inner.parts:
        if part not in (*seen, (group, name)):  # a preset may carry the name of what it changes
            try:
                found, changed = compose(*part, [*seen, (group, name)])
            except GanlabError:  # composing for real says what is wrong; a list goes on
                continue
            parts += found
            values.update(changed)
    return parts, {**values, **inner.values}


def keys(group: str, name: str) -> list[Key]:
    """Every option that ``group=name`` brings into the configuration, with the preset's defaults."""
    parts, values = compose(group, name)
    found: list[Key] = []
    for part in parts:
        text = signature(part.kind, part.name)
        for option in text.options or ():
            key = f"{part.key}.{option.name}"
            default = values.pop(key, option.default)
            found.append(Key(key, replace(option, default=default), text.arguments.get(option.name, "")))
    return found + [Key(key, Option(key.rpartition(".")[2], "", value)) for key, value in values.items()]


@cache
def run_defaults() -> dict[str, tuple[str, ...]]:
    """What a run uses if nothing else is said: group -> names."""
    found: dict[str, tuple[str, ...]]
    found = {name: (kind.default,) for name, kind in kinds.KINDS.items() if kind.default not in ("", NONE)}
    for group, name in preset("", conf_dir() / "train.yaml").parts:
        found[group] = (*found.get(group, ()), name)
    return found


@cache
def run_keys() -> tuple[Key, ...]:
    """The keys that every run has, with their sentences."""
    found = []
    for name, section in {"": sections.GeneralOptions, **sections.SECTIONS}.items():
        text = signatures.live(section, schema.options(section))
        for option in text.options or ():
            key = f"{name}.{option.name}" if name else option.name
            found.append(Key(key, option, text.arguments.get(option.name, "")))
    limits = (Key(f"clip.{player}", Option(player, "float | None", limit)) for player, limit in sections.CLIP.items())
    return (*found, *limits)


def trainer_keys() -> list[Key]:
    """What may be set under ``trainer.``: the options of Lightning's Trainer that are not ganlab's own."""
    owned = signatures.constant("ganlab.runs.trainer", "OWNED") or {}
    found = signatures.read("lightning.pytorch.trainer.trainer", "Trainer")
    own = {key.key: key for key in keys("trainer", "default")}
    options = [o for o in found.options or () if o.name not in owned and f"trainer.{o.name}" not in own]
    return [*own.values(), *(Key(f"trainer.{o.name}", o) for o in options)]


def spell(value: Any) -> str:
    """A value as a user would type it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(spell, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k}:{spell(v)}" for k, v in value.items()) + "}"
    if value == REQUIRED:
        return "???"
    return str(value) if value != "" else "''"
