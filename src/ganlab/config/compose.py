"""One composed, checked configuration from the words of a command line, and what is wrong with them in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra.core.default_element import ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ganlab.config import catalog, command_line, component_source, configuration, nearest, resolvers, schema
from ganlab.config.companions import companions
from ganlab.config.configuration import Config
from ganlab.core import code_files, kinds, registry
from ganlab.core.errors import GanlabError, sentence, suggestion

Offer = Callable[[str], list[str]]  # the names that a group takes


@dataclass(frozen=True)
class Inherited:
    """Defaults of a run that differ from those of ganlab.

    Args:
        choices: Group -> name or names, such as ``optimizer/generator`` -> ``adam``.
        values: Key of an option -> value.
    """

    choices: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


def read(overrides: Sequence[str], inherited: Inherited | None = None) -> Config:
    """The configuration of one run from words such as ``loss=hinge``, checked.

    Raises:
        GanlabError: With every mistake found, one sentence each.
    """
    return configuration.checked(composed(overrides, inherited))


def composed(overrides: Sequence[str], inherited: Inherited | None = None) -> dict[str, Any]:
    """The same as plain containers, before values are checked.

    Raises:
        GanlabError: For words, names and keys that there are not.
    """
    resolvers.register()
    parsed = command_line.parse(overrides)
    inherited = inherited or Inherited()
    sweeps = [o.input_line for o in parsed if o.is_sweep_override()]
    if sweeps:
        key, _, values = str(sweeps[0]).partition("=")
        one_only = key in catalog.run_groups() and not catalog.run_groups()[key].kind.many
        hint = "" if one_only or "(" in values else f" If {key} takes a list, write {key}=[{values}]."
        raise GanlabError(f"{sweeps[0]!r} has several values: sweep over them with `ganlab train -m`.{hint}")
    with hydra() as loader:
        options: Offer = cache(loader.options)
        groups = {o.get_key_element().lstrip("+~"): o for o in parsed if _is_group(o, options)}
        _check_choices(groups.values(), options)
        chosen = [f"{group}={schema.spell(names)}" for group, names in inherited.choices.items()]
        chosen += [o.input_line for o in groups.values() if o.input_line]
        others = [o for o in parsed if not _is_group(o, options)]
        config, merged = _chosen(chosen)
        added = companions(config, [*inherited.choices, *(key.partition("@")[0] for key in groups)])
        if added:
            config, merged = _chosen([*chosen, *added])
        _refuse_unknown_keys(others, config)
        _refuse_doubles(merged)
        for key, value in inherited.values.items():
            OmegaConf.update(config, key, value, merge=False, force_add=True)
        _set(others, config)
        try:
            plain = OmegaConf.to_container(config, resolve=True)
        except OmegaConfBaseException as error:
            raise GanlabError(f"The configuration cannot be resolved: {sentence(_one_line(error))}") from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _is_group(override: Override, options: Offer) -> bool:
    key = override.key_or_group.lstrip("+~")
    return "@" in key or (
        key.split("/")[0].partition(".")[0] == key.partition("/")[0] and bool(options(key.partition("@")[0]))
    )


def _check_choices(overrides: Iterable[Override], options: Offer) -> None:
    """Refuse names that a group does not have, and several where a run has one."""
    problems = []
    for override in overrides:
        group, value = override.get_key_element().lstrip("+~").partition("@")[0], override.value()
        kind = group.partition("/")[0]
        of = catalog.run_groups().get(kind)
        if override.is_delete() or (of is None and "/" in group):  # hydra/...: Hydra's own business
            continue
        none = f" For none of it write {group}={catalog.NONE}." if of and of.kind.optional else ""
        if value is None or value == "":
            problems.append(f"{group}= wants a name.{none} See `ganlab list {kind}`.")
        elif isinstance(value, dict):
            problems.append(f"{group}= wants a name; options are set one by one, as {group}.OPTION=VALUE.")
        elif isinstance(value, list) and not (of and of.kind.many):
            problems.append(f"A run has one {kind}, got {override.input_line!r}: choose one, or sweep with -m.")
        else:
            for name in value if isinstance(value, list) else [value]:
                problems += _check_name(group, kind, name, options(group))
    if problems:
        raise GanlabError(" ".join(problems))


def _check_name(group: str, kind: str, name: Any, options: Sequence[str]) -> list[str]:
    needless = named_needlessly(kind, str(name))
    if needless is not None:
        return [needless]
    if code_files.split(str(name)) is not None:
        code_files.point(kind, str(name))  # refuses one of a file that is not named
        return []
    known = sorted(options)
    what = kinds.KINDS[kind].what if kind in kinds.KINDS else group
    nested = "/" in str(name) and not str(name).startswith(("/", "."))  # folders in the user's ./conf
    if str(name) not in known and not nested:
        return [
            f"No {what} is called {str(name)!r}.{suggestion(str(name), known)} Known: {', '.join(known)}."
            f"{registry.about_unreadable()}"
        ]
    claims = [choice for choice in catalog.choices(kind) if choice.name == name and choice.rivals]
    return [
        f"{choice.group}={name} is claimed by {' and '.join([choice.provider, *choice.rivals])}: "
        f"uninstall all but one of them."
        for choice in claims
    ]


class _Loader(ConfigLoaderImpl):
    """Hydra's loader, which keeps what it merged last.

    To ask Hydra for it (``compute_defaults_list``) takes as long again as finding it did: a third of a composition.
    The name of the method is private; what depends on it, the refusal of doubles, is pinned by the tests.
    """

    merged: Sequence[ResultDefault] = ()

    def options(self, group: str) -> list[str]:
        """Return the names that a group takes, without the copies of all sources that ``get_group_options`` makes."""
        names: list[str] = self.repository.get_group_options(group, ObjectType.CONFIG)
        return names

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        self.merged = defaults
        return super()._compose_config_from_defaults_list(defaults, repo)

    def _load_single_config(self, default: ResultDefault, repo: IConfigRepository) -> ConfigResult:
        """Refuse presets that are lists: Hydra would put one in a component's place, where it means nothing."""
        loaded = super()._load_single_config(default, repo)
        node: Any = loaded.config
        if default.package and default.package != "_global_":
            node = OmegaConf.select(node, default.package)
        if isinstance(node, ListConfig):
            raise ConfigCompositionException(
                f"The preset {default.config_path} is a list, and a mapping of options is wanted: write key: value, "
                f"and what it composes below defaults:."
            )
        return loaded


@contextmanager
def hydra() -> Iterator[_Loader]:
    """Let Hydra compose ganlab's configurations until the end of the block, by the loader that this yields."""
    GlobalHydra.instance().clear()
    component_source.install()
    with initialize_config_dir(str(catalog.conf_dir()), job_name="ganlab", version_base="1.3"):
        instance = GlobalHydra.instance().hydra
        assert instance is not None
        loader = instance.config_loader = _Loader(instance.config_loader.get_search_path())
        yield loader


def _chosen(lines: Sequence[str]) -> tuple[DictConfig, Sequence[ResultDefault]]:
    """Compose a choice of components, to be changed by the caller, and what was merged into it."""
    config, merged = _compose(tuple(lines), component_source.state())
    return deepcopy(config), merged


@lru_cache(maxsize=64)
def _compose(lines: tuple[str, ...], state: object) -> tuple[DictConfig, Sequence[ResultDefault]]:
    """Compose once for all jobs of a sweep that choose the same: Hydra takes fifty times as long as a copy.

    Args:
        state: Of everything outside that the result depends on, see `component_source.state`.
    """
    with _hydras_errors_in_our_words():
        config = compose("train", list(lines))
    loader = GlobalHydra.instance().config_loader()
    assert isinstance(loader, _Loader)
    return config, loader.merged


def _set(overrides: Iterable[Override], config: DictConfig) -> None:
    """Set single keys of a composed configuration.

    Hydra does this at the end of `compose`. To compose all again for it would take as long as the first time, so its
    own function is called; the name is private, and what it does is pinned by the tests.
    """
    parser = OverridesParser.create()
    with _hydras_errors_in_our_words():
        lines = [parser.parse_override(command_line.open_line(override)) for override in overrides]
        ConfigLoaderImpl._apply_overrides_to_config(lines, config)


@contextmanager
def _hydras_errors_in_our_words() -> Iterator[None]:
    try:
        yield
    except MissingConfigException as error:
        missing = str(error.missing_cfg_file or "")
        group, _, name = missing.rpartition("/")
        options = sorted(error.options or [])
        if not options and group:
            options = sorted(GlobalHydra.instance().config_loader().get_group_options(group))
        raise GanlabError(
            f"No {group or 'configuration'} is called {name!r}.{suggestion(name, options)} "
            f"Known: {', '.join(options) or 'none'}."
        ) from error
    except HydraException as error:
        raise GanlabError(sentence(_explained(_one_line(error)))) from error
    except OmegaConfBaseException as error:
        raise GanlabError(sentence(_one_line(error))) from error
    except YAMLError as error:
        raise GanlabError(f"A preset is no YAML: {sentence(error)}") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:  # whatever Hydra
        # makes of a preset that is a number, no text, or a loop of references
        raise GanlabError(f"A preset in ./conf or of a package cannot be composed: {sentence(error)}") from error


def _explained(message: str) -> str:
    """Translate Hydra's message about a group without a default."""
    group = message.partition("Could not override '")[2].partition("'")[0]
    if group == "optimizer":
        return "optimizer= names no player: write optimizer/generator=NAME or optimizer/discriminator=NAME."
    parent, _, last = group.rpartition(".")
    if last.isdigit():
        return f"{group} cannot be set by itself: give the whole table, as {parent}={{{last}:VALUE,...}}."
    if group.startswith("optimizer/"):
        return f"No player {group.partition('/')[2]!r} has an optimizer yet: add one as +{group}=NAME."
    return message


def _refuse_unknown_keys(overrides: Sequence[Override], config: DictConfig) -> None:
    problems = []
    plain: Any = OmegaConf.to_container(config, resolve=False)
    for key in (override.get_key_element().lstrip("+") for override in overrides):
        parts = key.split(".")
        if key.startswith("~") or parts[0] in command_line.OPEN_NODES:
            continue
        node = plain
        for depth, part in enumerate(parts):
            inner = {str(k): v for k, v in node.items()} if isinstance(node, dict) else {}  # keys may be numbers
            if part not in inner:
                problems.append(_unknown_key(key, ".".join(parts[:depth]), part, [*inner], plain))
                break
            node = inner[part]
    if problems:
        raise GanlabError(" ".join(problems))


def _unknown_key(key: str, parent: str, part: str, known: list[str], plain: Mapping[str, Any]) -> str:
    same = nearest.suggestion(key, plain)
    if not parent:
        known = sorted({*known, *catalog.run_groups()} - {"optimizer", "hydra"})
        near = same or suggestion(part, known)
        return f"{key!r} is no option.{near} Known here: {', '.join(known)}."
    kind = kinds.KINDS.get(parent)
    if kind is not None and kind.many and part in registry.names(parent):
        return named_needlessly(parent, part) or (
            f"{key!r} has no effect because the {kind.what} {part!r} is not in use: add it as {parent}={part}."
        )
    if not known and parent in kinds.KINDS and not kinds.KINDS[parent].many:
        return f"{key!r} has no effect without a {parent}: choose one as {parent}={registry.names(parent)[0]}."
    near = same or suggestion(part, known).replace("'", f"'{parent}.", 1)
    listed = ", ".join(k for k in known if k != schema.COMPONENT)
    return f"{key!r} is no option.{near} {f'Known in {parent}: {listed}.' if listed else f'{parent} has no options.'}"


def _refuse_doubles(merged: Sequence[ResultDefault]) -> None:
    """Refuse a regularizer that is named twice, by hand or by a bundle such as ``loss=wgan_gp``."""
    several = tuple(f"{name}." for name, group in catalog.run_groups().items() if group.kind.many)
    packages = [str(d.package) for d in merged if str(d.package or "").startswith(several)]
    doubles = sorted({p for p in packages if packages.count(p) > 1})
    if doubles:
        group, _, name = doubles[0].partition(".")
        bundle = next((d.parent for d in merged if d.package == doubles[0] and str(d.parent).startswith("loss/")), None)
        raise GanlabError(named_twice(group, name, str(bundle).replace("/", "=") if bundle else None))


def named_twice(group: str, name: str, bundle: str | None) -> str:
    """The sentence for a name that is given twice, or once and by ``bundle``."""
    source = f": {bundle} brings it already" if bundle else ""
    return f"{group} names {name!r} twice{source}. Name it once and set its options as {group}.{name}.OPTION=VALUE."


def named_needlessly(kind: str, name: str) -> str | None:
    """The sentence for the name of a component that every run has; None for others."""
    section = kinds.KINDS[kind].always.get(name) if kind in kinds.KINDS else None
    if section is None:
        return None
    options = f": set its options as {section}.OPTION=VALUE" if section else ", and it has no options"
    return f"The {kinds.KINDS[kind].what} {name!r} is part of every run{options}."


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("See https", "full_key", "object_type", "To append"))]
    return " ".join(kept[:2])
