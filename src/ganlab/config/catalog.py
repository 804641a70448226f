"""Everything that can be named on a command line: groups of components and presets, none of which is imported.

Components come from entry points; presets are YAML files in ganlab's ``conf/``, in the user's ``./conf`` and in
plug-ins, in that order. What a component takes is in `ganlab.config.option_table`, what a preset composes in
`ganlab.config.presets`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from ganlab.config import option_table, sections
from ganlab.config.option_table import OWN
from ganlab.config.schema import COMPONENT, REQUIRED, Option
from ganlab.core import kinds, registry
from ganlab.core.errors import GanlabError, suggestion
from ganlab.core.kinds import NONE, Kind

USER = "./conf"
_FIRST = ("experiment", "model", "generator", "discriminator", "loss", "reg", "augment")  # the others follow


@dataclass(frozen=True)
class Choice:
    """A component or preset that ``group=name`` may name.

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
class Key:
    """An option with the full key that a user types."""

    key: str
    option: Option

    @property
    def required(self) -> bool:
        """Tell if it has no default."""
        return bool(self.option.default == REQUIRED)


@dataclass(frozen=True)
class Group:
    """A config group: what may be typed before ``=`` to choose a component or a preset. This one has presets alone.

    Args:
        default: The default choice of a run.
        many: Whether a run may name several: ``reg=[sn,ortho]``.
        optional: Whether ``none`` is a choice.
        of_run: Whether a run's configuration is composed of it.
        package: Where Hydra puts what it composes, unless that follows from its name.
        path: What its name is followed by where each player has one: ``/generator``.
    """

    name: str
    what: str
    default: str = ""
    many: bool = False
    optional: bool = False
    of_run: bool = True
    package: str | None = None
    path: str = ""

    @property
    def address(self) -> str:
        """The path at which Hydra has it, ``optimizer/generator``."""
        return self.name + self.path

    @property
    def typed(self) -> str:
        """The word that is typed before ``=``."""
        return self.address

    @property
    def several(self) -> bool:
        """Tell if there is something to choose: there is one set of options of Lightning's Trainer."""
        return self.name != "trainer"

    @property
    def placeholder(self) -> str:
        """The word before ``=``, in help."""
        return self.typed

    @property
    def to_type(self) -> str:
        """``reg=NAME, reg=[NAME,...] or reg=none``."""
        several = f", {self.typed}=[NAME,...]" if self.many else ""
        return f"{self.placeholder}=NAME{several}" + (f" or {self.name}={NONE}" if self.optional else "")

    def where(self, name: str) -> str:
        """Return the key of the options of a choice."""
        return self.address.replace("/", ".")

    def components(self) -> Iterator[Choice]:
        """Yield what it offers without a YAML file."""
        yield from ()

    def offers(self, choice: Choice) -> bool:
        """Tell if a run may name it: some components are part of every run."""
        return True

    def kind_of(self, choice: Choice) -> str | None:
        """The kind of component that a choice is; None for one that composes several."""
        return None

    def node(self, name: str) -> tuple[str | None, dict[str, Any]]:
        """Return where Hydra puts a choice that has no YAML file, and what it puts there.

        Raises:
            GanlabError: If it cannot be used.
        """
        return self.package, {}


@dataclass(frozen=True)
class _Models(Group):
    """A generator and a discriminator of one name are a model."""

    def components(self) -> Iterator[Choice]:
        owners = registry.owners("generator")
        for name in sorted({*owners} & {*registry.names("discriminator")}):
            yield Choice(self.name, name, owners[name][0])

    def node(self, name: str) -> tuple[str | None, dict[str, Any]]:
        networks = ("generator", "discriminator")
        optimizers = [
            {f"/{kind}/{part}": kinds.KINDS[kind].default} for kind in kinds.at("player") for part in networks
        ]
        return self.package, {"defaults": [*({f"/{part}": name} for part in networks), *optimizers]}


@dataclass(frozen=True)
class _Components(Group):
    """The components of a kind, and presets of them."""

    kind: Kind = field(kw_only=True)

    @property
    def typed(self) -> str:
        return self.kind.word or super().typed

    def components(self) -> Iterator[Choice]:
        for name, (first, *others) in registry.owners(self.name).items():
            yield Choice(self.name, name, first, rivals=tuple(others))

    def offers(self, choice: Choice) -> bool:
        return choice.name not in self.kind.always

    def kind_of(self, choice: Choice) -> str | None:
        return None if choice.preset is not None else self.name

    def where(self, name: str) -> str:
        if name in self.kind.always:
            return self.kind.always[name]
        several = f"{self.address}.{name}" if self.of_run else name  # fid.blocks=20, and not metric.fid.blocks=20
        return several if self.many else super().where(name)

    def node(self, name: str) -> tuple[str | None, dict[str, Any]]:
        if name == NONE:
            return self.package, {}
        options = option_table.at_hand(self.name, name).node
        return f"{self.name}.{name}" if self.many else self.package, {COMPONENT: name, **options}


@dataclass(frozen=True)
class _OfPlayers(_Components):
    """Components of which each player has one."""

    path: str = "/generator"

    @property
    def several(self) -> bool:
        """Tell if there is something to choose: there is one set of options of Lightning's Trainer."""
        return self.name != "trainer"

    @property
    def placeholder(self) -> str:
        return f"{self.name}/PLAYER"

    @property
    def to_type(self) -> str:
        return f"{super().to_type}, PLAYER being generator or discriminator"


def groups() -> dict[str, Group]:
    """Config groups, in the order in which they are shown."""
    found: dict[str, Group] = {
        "experiment": Group("experiment", "complete recipe", optional=True, package="_global_"),
        "model": _Models("model", "generator, discriminator and their optimizers", "small", package="_global_"),
        "trainer": Group("trainer", "options of Lightning's Trainer", "default"),
    }
    for name, kind in kinds.KINDS.items():
        of = _OfPlayers if kind.place == "player" else _Components
        found[name] = of(name, kind.what, kind.default, kind.many, kind.optional, kind.of_run, kind=kind)
    return {name: found[name] for name in dict.fromkeys([*_FIRST, *kinds.KINDS, *found])}


def run_groups() -> dict[str, Group]:
    """The groups that a run's configuration is composed of."""
    return {name: group for name, group in groups().items() if group.of_run}


def group_of(path: str) -> Group:
    """The group of a path such as ``optimizer/generator``.

    Raises:
        GanlabError: If there is none.
    """
    name, slash, player = path.partition("/")
    known = groups()
    if name not in known:
        raise GanlabError(f"There is no kind {name!r}.{suggestion(name, known)} Kinds: {', '.join(known)}.")
    return replace(known[name], path=slash + player) if slash else known[name]


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
        folder = _package_folder(point.value)
        if folder is not None:
            folders.append((registry.distribution(point), folder))
    return folders


def _package_folder(package: str) -> Path | None:
    """The folder of a package or of a folder of data files in one, which is not imported; None if there is none."""
    top, *rest = package.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    folders = [Path(f).joinpath(*rest) for f in (spec.submodule_search_locations or ())] if spec else []
    return next((f for f in folders if f.is_dir()), None)


def choices(group: str) -> list[Choice]:
    """List what a group offers, by name; the first provider in the search order wins."""
    found: dict[str, Choice] = {}
    for provider, folder in preset_folders():
        for file in sorted((folder / group).glob("*.yaml")):
            _add(found, Choice(group, file.stem, provider, file))
    for choice in groups()[group].components() if group in groups() else ():
        _add(found, choice)
    return [found[name] for name in sorted(found)]


def _add(found: dict[str, Choice], choice: Choice) -> None:
    """The first of a name wins; another package that claims it is its rival. A folder of the user's is none."""
    first = found.setdefault(choice.name, choice)
    if USER not in (first.provider, choice.provider) and choice.provider not in (first.provider, *first.rivals):
        found[choice.name] = replace(first, rivals=(*first.rivals, choice.provider, *choice.rivals))


def find(path: str, name: str) -> Choice:
    """The choice of this name in a group such as ``loss`` or ``optimizer/generator``.

    Raises:
        GanlabError: If there is no such group or choice.
    """
    group = group_of(path).name
    offered = {choice.name: choice for choice in choices(group)}
    if name in offered:
        return offered[name]
    elsewhere = [other for other in groups() if other != group and any(c.name == name for c in choices(other))]
    there = " and ".join(f"{other}={name}" for other in elsewhere)
    hint = f" There is {there}." if elsewhere else suggestion(name, offered)
    raise GanlabError(f"No {group} is called {name!r}.{hint} Known: {', '.join(offered) or NONE}.")


def run_defaults() -> dict[str, str]:
    """Return the default choices of a run, group -> name; groups without one are left out."""
    named = {name: group for name, group in run_groups().items() if group.default not in ("", NONE)}
    return {name: group.default for name, group in named.items() if not group.path}


@cache
def run_keys() -> tuple[Key, ...]:
    """Return the options that every run has, with their keys."""
    found = []
    for name, section in {"": sections.GeneralOptions, **sections.SECTIONS}.items():
        for option in option_table.describe(section).options:
            found.append(Key(f"{name}.{option.name}" if name else option.name, option))
    limits = (Key(f"clip.{player}", Option(player, "float | None", limit)) for player, limit in sections.CLIP.items())
    return (*found, *limits)


@cache
def sweep_keys() -> tuple[Key, ...]:
    """Return the options that a sweep has, with their keys."""
    return tuple(Key(f"sweep.{option.name}", option) for option in option_table.describe(sections.SweepOptions).options)


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (full key, value) of a nested mapping; options of a component are whole values, its name is none."""
    for name, value in node.items():
        key = f"{prefix}.{name}" if prefix else str(name)
        if isinstance(value, Mapping) and COMPONENT not in node:
            yield from leaves(value, key)
        elif name != COMPONENT:
            yield key, value


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
