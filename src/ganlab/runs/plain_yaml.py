"""YAML as data: plain values, without interpolation, references or code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ganlab.core import files

_MOST_BYTES = 2**20  # a configuration takes some 3 KiB


class _Loader(yaml.SafeLoader):
    """Reads 1e-4 as a number and a date as a string, as OmegaConf writes them; refuses repeated keys, and references,
    with which a short file can describe an endless structure."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it refers to a part of itself (*), which is not read")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
        if twice is not None:
            raise ValueError(f"it has the key {twice!r} twice")
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+\Z"), list("-+0123456789")
)


def read(path: Path, interpolations: bool = False) -> Any:
    """Read a YAML file.

    Args:
        interpolations: Allow text with ``${``, which nothing here resolves.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no YAML, or more than plain data.
    """
    content = files.read(path)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it has {len(content):,} bytes")
    try:
        found = yaml.load(content, _Loader)
        _refuse_more_than_data(found, "", interpolations)
    except ValueError:
        raise
    except Exception as error:  # yaml's own errors, and whatever a wrong value behind a tag makes its loader raise
        raise ValueError(f"it is no YAML ({' '.join(str(error).split())[:150]})") from error
    return found


def _refuse_more_than_data(value: Any, key: str, interpolations: bool) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _refuse_more_than_data(name, key, interpolations)
            _refuse_more_than_data(inner, f"{key}.{name}" if key else str(name), interpolations)
    elif isinstance(value, list):
        for inner in value:
            _refuse_more_than_data(inner, key, interpolations)
    elif not isinstance(value, str | int | float | bool | None):
        raise ValueError(f"{key} is of the type {type(value).__name__}")
    elif not interpolations and isinstance(value, str) and "${" in value:
        raise ValueError(f"{key}={value[:60]}: it is read as it is written, and ${{...}} is not resolved")
