"""Hydra's sources of options: components as generated YAML, and the folders of presets.

Search order: ganlab's own ``conf/``, the user's ``./conf``, YAML of plug-ins (``ganlab.conf`` entry
points), and last the options that are generated from components' signatures. The first hit wins, so
a stray ``train.yaml`` cannot hijack a run.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from ganlab.config import catalog, sections
from ganlab.core import code_files, kinds, registry
from ganlab.core.errors import GanlabError

Names = list[str]  # inside the class, `list` is one of its methods


class ComponentSource(ConfigSource):
    """Every installed component is an option of its kind's config group, without any YAML.

    Options are built when they are loaded, so a broken plug-in breaks only itself.
    """

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider, path)
        self.names = cache(_names)  # asked for each of a hundred files that there may be

    @staticmethod
    def scheme() -> str:
        return "ganlab"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        path = config_path.strip("/")
        return path == "" or bool(self.names(path))

    def is_config(self, config_path: str) -> bool:
        group, name = _split(config_path)
        return name in (self.names(group) if group else _GENERAL) or (bool(group) and code_files.is_allowed(name))

    def list(self, config_path: str, results_filter: ObjectType | None) -> Names:
        group = config_path.strip("/")
        if not group:
            return [] if results_filter is ObjectType.CONFIG else [*catalog.run_groups()]
        return [] if results_filter is ObjectType.GROUP else [*self.names(group)]

    def load_config(self, config_path: str) -> ConfigResult:
        group, name = _split(config_path)
        try:
            package, content = catalog.group_of(group).node(name) if group else (None, _GENERAL[name]())
        except GanlabError as error:
            raise ConfigCompositionException(str(error)) from error
        header: dict[str, Any] = {"package": package}
        return ConfigResult("ganlab", f"ganlab://{group}/{name}", OmegaConf.create(content), header)


def _default_components() -> dict[str, Any]:
    """The choice of each kind where nothing else is said; a model chooses for players."""
    chosen = {name: kind.default for name, kind in kinds.KINDS.items() if kind.of_run and kind.place != "player"}
    return {"defaults": [{name: default} for name, default in chosen.items() if default]}


_GENERAL = {"sections": sections.defaults, "default_components": _default_components}  # outside of groups


def _split(config_path: str) -> tuple[str, str]:
    group, _, name = config_path.strip("/").removesuffix(".yaml").rpartition("/")
    return group, name


def _names(path: str) -> Names:
    """List what a group offers without a YAML file; empty if it is none of a run."""
    name, slash, player = path.partition("/")
    group = catalog.run_groups().get(name)
    if group is None or (slash and not group.path):
        return []
    return replace(group, path=slash + player).generated()


class SearchPath(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for provider, folder in catalog.preset_folders()[1:]:  # the first is ganlab's own, where Hydra starts
            search_path.append(provider, f"file://{folder}")
        search_path.append("entry points", "ganlab://")


def state() -> tuple[object, ...]:
    """Everything that a composition depends on beside its words: the texts of presets, and the components."""
    files = [file for _, folder in catalog.preset_folders() for file in sorted(folder.rglob("*.yaml"))]
    return tuple((file, _text(file)) for file in files), registry.state()


def _text(file: Path) -> bytes | None:
    """Read a preset; None where there is none to read, which a composition that needs it says."""
    try:
        return file.read_bytes() if file.is_file() else None
    except OSError:
        return None


def install() -> None:
    """Make Hydra see components and search paths; may be called more than once."""
    for plugin in (ComponentSource, SearchPath):
        Plugins.instance().register(plugin)
