"""Where Hydra finds options: components as generated YAML, and the folders of presets.

Search order: ganlab's own ``conf/``, the user's ``./conf``, YAML of plug-ins (``ganlab.conf`` entry
points), and last the options that are generated from components' signatures. The first hit wins, so
a stray ``train.yaml`` cannot hijack a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from ganlab.config import catalog, schema, sections
from ganlab.core import kinds, registry
from ganlab.core.errors import GanlabError

DEFAULTS = "default_components"  # the choice of each kind where nothing else is said

SECTIONS = "sections"  # the options that every run has, with their defaults, see `ganlab.config.sections`

Names = list[str]  # inside the class, `list` is one of its methods


class ComponentSource(ConfigSource):
    """Every installed component is an option of its kind's config group, without any YAML.

    Options are built when they are loaded, so a broken plug-in breaks only itself.
    """

    @staticmethod
    def scheme() -> str:
        return "ganlab"

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        path = config_path.strip("/")
        return path in ("", *_groups()) or path.startswith("optimizer/")

    def is_config(self, config_path: str) -> bool:
        group, name = self._split(config_path)
        return name in _names(group) if group else name in (DEFAULTS, SECTIONS)

    def list(self, config_path: str, results_filter: ObjectType | None) -> Names:
        group = config_path.strip("/")
        if not group:
            return [] if results_filter is ObjectType.CONFIG else _groups()
        return [] if results_filter is ObjectType.GROUP else _names(group)

    def load_config(self, config_path: str) -> ConfigResult:
        group, name = self._split(config_path)
        package = None
        if config_path.strip("/") == SECTIONS:
            content: dict[str, Any] = sections.defaults()
        elif name == catalog.NONE and catalog.is_optional(group):
            content = {}
            package = "_global_" if group == "experiment" else None
        elif not group:
            content = {"defaults": [{kind: of.default} for kind, of in kinds.KINDS.items() if of.default]}
        elif group.startswith("optimizer/") and name in _optimizer_presets():  # one file serves every player
            content = yaml.safe_load(_optimizer_presets()[name].read_text(encoding="utf-8"))
        elif group == "model":  # a generator and a discriminator of one name are a model
            content = {"defaults": [{f"/{part}": name} for part in ("generator", "discriminator")]}
            content["defaults"] += [{f"/optimizer/{part}": "adam"} for part in ("generator", "discriminator")]
            package = "_global_"
        else:
            kind = group.partition("/")[0]
            try:
                content = schema.node(kind, name)
            except GanlabError as error:
                raise ConfigCompositionException(str(error)) from error
            package = f"{kind}.{name}" if kinds.KINDS[kind].many else None
        header = {"package": package}
        return ConfigResult(
            provider="ganlab", path=f"ganlab://{group}/{name}", config=OmegaConf.create(content), header=header
        )

    @staticmethod
    def _split(config_path: str) -> tuple[str, str]:
        group, _, name = config_path.strip("/").removesuffix(".yaml").rpartition("/")
        return group, name


def _groups() -> Names:
    """The groups that have a choice without a YAML file."""
    return [*kinds.of_run(), "model", *(group for group in catalog.PRESET_GROUPS if catalog.is_optional(group))]


def _names(group: str) -> Names:
    kind = group.partition("/")[0]
    if kind == "model":
        return sorted({*registry.names("generator")} & {*registry.names("discriminator")})
    if group.startswith("optimizer/"):
        return sorted({*registry.names(kind), *_optimizer_presets()})
    none = [catalog.NONE] if catalog.is_optional(group) else []
    return [*none, *(registry.choices(kind) if kind in kinds.of_run() else [])]


def _optimizer_presets() -> dict[str, Path]:
    """conf/optimizer/NAME.yaml, which Hydra would look for below optimizer/PLAYER/."""
    return {choice.name: choice.preset for choice in catalog.choices("optimizer") if choice.preset is not None}


class SearchPath(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for provider, folder in catalog.preset_folders()[1:]:  # the first is ganlab's own, where Hydra starts
            search_path.append(provider, f"file://{folder}")
        search_path.append("entry points", "ganlab://")


def install() -> None:
    """Make Hydra see components and search paths; may be called more than once."""
    for plugin in (ComponentSource, SearchPath):
        Plugins.instance().register(plugin)
