"""Presets of a few components with options, such as ``loss=wgan_gp`` and ``optimizer=dcgan``, read without Hydra."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ganlab.config import catalog
from ganlab.core import kinds, registry
from ganlab.core.errors import GanlabError

Bundle = dict[str, dict[str, dict[str, Any]]]
"""Options of components, by kind and name."""

_GLOBAL = re.compile(r"^# @package _global_$", re.MULTILINE)
_PART = re.compile(r"(?:/(?P<kind>\w+)/)?(?P<name>\w+)(?:@\w+)?")


def read(kind: str, name: str) -> Bundle | None:
    """Return the components of a preset; None: it is none, or a component has this name.

    Raises:
        GanlabError: If it says more than components and their options.
    """
    if name in registry.names(kind):
        return None
    file = next((choice.preset for choice in catalog.choices(kind) if choice.name == name), None)
    if file is None:
        return None
    found = _components(kind, file)
    if found is None:
        raise GanlabError(
            f"{kind}={name} is a preset that only the command line can read ({file}): give its components by name; "
            f"`ganlab show {kind}={name}` lists them."
        )
    return found


def _components(kind: str, file: Path) -> Bundle | None:
    """The components of a file; None: it says more."""
    text = file.read_text(encoding="utf-8")
    body = yaml.safe_load(text)
    found: Bundle = {}
    if not isinstance(body, dict):
        return None
    for entry in body.pop("defaults", []):
        if entry == "_self_":
            continue
        named = _PART.fullmatch(str(entry))
        if named is None:
            return None
        of, part = named["kind"] or kind, named["name"]
        for each, components in (read(of, part) or {of: {part: {}}}).items():
            found.setdefault(each, {}).update(components)
    options = body if _GLOBAL.search(text) else {kind: body}
    return found if _set(found, options) else None


def _set(found: Bundle, body: Mapping[str, Any]) -> bool:
    """Set the options that a file says; False: one is of no component in it."""
    for kind, options in body.items():
        components = found.get(kind, {})
        if components and not kinds.of(kind).many:
            options = dict.fromkeys(components, options)
        if not isinstance(options, Mapping) or not options.keys() <= components.keys():
            return False
        for name, own in options.items():
            components[name].update(own)
    return True
