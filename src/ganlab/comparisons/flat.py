"""Configurations with dotted keys: what a run was composed of, as it is typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ganlab.config.schema import COMPONENT
from ganlab.core import kinds

_AROUND = ("run.dir", "checkpoint", "guard", "sample", "evaluate", *kinds.at("around"))


def options(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a configuration by dotted key.

    A component is the name under its kind, ``loss: hinge``; several are one value, ``reg: [ortho,sn]``, and ``none``
    is none. Options of a component keep their keys: ``loss.margin``, ``reg.sn.players``.
    """
    found: dict[str, Any] = {}
    for key, value in plain.items():
        kind = kinds.KINDS.get(key)
        if kind is not None and kind.many and isinstance(value, Mapping):
            found[key] = _several(list(map(str, value)))
        found.update(_flat(str(key), value))
    return found


def is_around(key: str) -> bool:
    """Tell if an option changes what is saved, shown or measured, and not what is trained."""
    return any(key == part or key.startswith(f"{part}.") for part in _AROUND)


def shown(value: Any) -> str:
    """Return a value as it is typed."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    return "null" if value is None else str(value)


def _several(names: list[str]) -> str:
    if len(names) < 2:
        return names[0] if names else kinds.NONE
    return f"[{','.join(names)}]"


def _flat(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield key, value
        return
    kind = kinds.KINDS.get(key)
    if COMPONENT in value:
        yield key, value[COMPONENT]
    elif kind is not None and not kind.nested and not value:
        yield key, kinds.NONE
    for name, inner in value.items():
        if name != COMPONENT:
            yield from _flat(f"{key}.{name}", inner)
