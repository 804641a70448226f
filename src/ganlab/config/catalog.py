"""Everything that can be named on a command line: groups of components and presets, none of which is imported.

Components come from entry points; presets are YAML files in ganlab's ``conf/``, in the user's ``./conf`` and in
plug-ins, in that order. What a component takes is in `ganlab.config.option_table`, what a preset composes in
`ganlab.config.presets`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ganlab.config import option_table, sections
from ganlab.config.option_table import OWN
from ganlab.config.schema import Option
from ganlab.core import code_files, kinds, registry
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
class Group:
    """A config group: what may be typed before ``=`` to choose a component of a kind, or a preset.

    Args:
        kind: Of the components; one without an entry-point group if there are presets alone.
        path: What its name is followed by where each player has one: ``/generator``.
    """

    name: str
    kind: Kind
    path: str = ""

    @property
    def address(self) -> str:
        """The path at which Hydra has it, ``optimizer/generator``."""
        return self.name + self.path

    @property
    def typed(self) -> str:
        """The word that is typed before ``=``."""
        return self.kind.word or self.address

    @property
    def several(self) -> bool:
        """Tell if there is something to choose: there is one set of options of Lightning's Trainer."""
        return self.name != "trainer"

    @property
    def placeholder(self) -> str:
        """The word before ``=``, in help."""
        return f"{self.name}/PLAYER" if self.path else self.typed

    @property
    def to_type(self) -> str:
        """``reg=NAME, reg=[NAME,...] or reg=none``."""
        several = f", {self.typed}=[NAME,...]" if self.kind.many else ""
        none = f" or {self.name}={NONE}" if self.kind.optional else ""
        players = ", PLAYER being generator or discriminator" if self.path else ""
        return f"{self.placeholder}=NAME{several}{none}{players}"

    def where(self, name: str) -> str:
        """Return the key of the options of a choice."""
        if name in self.kind.always:
            return self.kind.always[name]
        if self.kind.many:  # fid.blocks=20, and not metric.fid.blocks=20
            key = code_files.short(name)
            return f"{self.address}.{key}" if self.kind.of_run else key
        return self.address.replace("/", ".")

    def components(self) -> list[Choice]:
        """List what it offers without a YAML file."""
        owners = registry.owners(self.name) if self.kind.group else {}
        return [Choice(self.name, name, first, rivals=tuple(others)) for name, (first, *others) in owners.items()]

    def generated(self) -> list[str]:
        """The names that Hydra is to find although they have no YAML file in a folder of the address."""
        named = {choice.name for choice in self.components() if self.offers(choice)}
        return sorted(named | set(self.shared_presets()) | ({NONE} if self.kind.optional else set()))

    def shared_presets(self) -> dict[str, Path]:
        """The presets that serve every player, conf/optimizer/NAME.yaml."""
        return {c.name: c.preset for c in choices(self.name) if c.preset is not None} if self.path else {}

    def offers(self, choice: Choice) -> bool:
        """Tell if a run may name it: some components are part of every run."""
        return choice.name not in self.kind.always

    def kind_of(self, choice: Choice) -> str | None:
        """The kind of component that a choice is; None for one that composes several."""
        return self.name if self.kind.group and choice.preset is None else None

    def node(self, name: str) -> tuple[str | None, dict[str, Any]]:
        """Return where Hydra puts a choice that has no YAML file (None: at the address), and what it puts there.

        Raises:
            GanlabError: If it cannot be used.
        """
        if name == NONE:
            return None if self.kind.group else "_global_", {}
        if name in (shared := self.shared_presets()):
            import yaml  # here, since `ganlab list` needs none

            return None, yaml.safe_load(shared[name].read_text(encoding="utf-8"))
        key = code_files.short(name)
        return f"{self.name}.{key}" if self.kind.many else None, option_table.node(self.name, name)


class _Models(Group):
    """A generator and a discriminator of one name are a model."""

    def components(self) -> list[Choice]:
        owners = registry.owners("generator")
        both = sorted({*owners} & {*registry.names("discriminator")})
        return [Choice(self.name, name, owners[name][0]) for name in both]

    def node(self, name: str) -> tuple[str | None, dict[str, Any]]:
        networks = ("generator", "discriminator")
        of_players = [
            {f"/{kind}/{part}": kinds.KINDS[kind].default} for kind in kinds.at("player") for part in networks
        ]
        return "_global_", {"defaults": [*({f"/{part}": name} for part in networks), *of_players]}


@registry.kept
def groups() -> dict[str, Group]:
    """Config groups, in the order in which they are shown."""
    found = {
        "experiment": Group("experiment", Kind("", "complete recipe", optional=True)),
        "model": _Models("model", Kind("", "generator, discriminator and their optimizers", default="small")),
        "trainer": Group("trainer", Kind("", "options of Lightning's Trainer", default="default")),
    }
    for name, kind in kinds.KINDS.items():
        found[name] = Group(name, kind, "/generator" if kind.place == "player" else "")
    return {name: found[name] for name in dict.fromkeys([*_FIRST, *kinds.KINDS, *found])}


@registry.kept
def run_groups() -> dict[str, Group]:
    """The groups that a run's configuration is composed of."""
    return {name: group for name, group in groups().items() if group.kind.of_run}


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
        top, *rest = point.value.split(".")
        inside = [folder.joinpath(*rest) for folder in option_table.package(top)[0]]
        folders += [(registry.distribution(point), folder) for folder in inside if folder.is_dir()][:1]
    return folders


def choices(group: str) -> list[Choice]:
    """List what a group offers, by name; the first provider in the search order wins."""
    files = [(provider, file) for provider, folder in preset_folders() for file in (folder / group).glob("*.yaml")]
    presets = [Choice(group, file.stem, provider, file) for provider, file in files]
    found: dict[str, Choice] = {}
    for choice in [*presets, *(groups()[group].components() if group in groups() else ())]:
        first = found.setdefault(choice.name, choice)
        # another package that claims the name is a rival of the first; a folder of the user's is none
        if USER not in (first.provider, choice.provider) and choice.provider not in (first.provider, *first.rivals):
            found[choice.name] = replace(first, rivals=(*first.rivals, choice.provider, *choice.rivals))
    return [found[name] for name in sorted(found)]


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
    defaults = {name: group.kind.default for name, group in run_groups().items() if not group.path}
    return {name: default for name, default in defaults.items() if default not in ("", NONE)}


@cache
def run_keys() -> tuple[Option, ...]:
    """Return the options that every run has, by their keys."""
    described = ((name, option_table.describe(section)) for name, section in sections.DECLARED.items())
    return tuple(option.at(name) for name, of in described for option in of.options)


@cache
def sweep_keys() -> tuple[Option, ...]:
    """Return the options that a sweep has, by their keys."""
    return tuple(option.at("sweep") for option in option_table.describe(sections.SweepOptions).options)
