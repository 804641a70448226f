"""Attributes of objects before and after a turn."""

from __future__ import annotations

from dataclasses import fields
from types import ModuleType
from typing import Any, cast

from torch import Tensor

PLAIN = (int, float, complex, str, bytes, type(None))


class Attributes:
    """The attributes of all objects that can be reached from ``roots`` by attributes and containers.

    The numbers in a tensor may change, but not the tensor that an attribute holds.
    """

    def __init__(self, *roots: object) -> None:
        self.roots = roots
        self._found: dict[int, tuple[object, dict[str, Any]]] = {}  # objects are held, so that no id is used twice
        for root in roots:
            self._plain(root)

    def changed(self) -> list[str]:
        """Return the attributes that differ now, such as ``L2.counts``."""
        now = Attributes(*self.roots)._found
        return sorted(
            {
                f"{type(owner).__name__}.{name}"
                for key, (owner, before) in self._found.items()
                if key in now
                for name in before.keys() | now[key][1].keys()
                if before.get(name, _ABSENT) != now[key][1].get(name, _ABSENT)
            }
        )

    def _plain(self, value: object) -> object:
        """Return numbers and texts as they are, with the containers around them, and of all else the identity."""
        if isinstance(value, PLAIN):
            return type(value), value
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._plain(element) for element in value]
        if isinstance(value, dict):
            return [(self._plain(key), self._plain(element)) for key, element in value.items()]
        if not isinstance(value, (type, ModuleType, Tensor)):
            if getattr(getattr(value, "__dataclass_params__", None), "frozen", False):
                return type(value), [self._plain(getattr(value, field.name)) for field in fields(cast(Any, value))]
            self._look_into(getattr(value, "__self__", value))  # of a method: its object
        return id(value)

    def _look_into(self, owner: object) -> None:
        if id(owner) in self._found or isinstance(owner, (type, ModuleType, Tensor)):
            return
        found: dict[str, Any] = {}
        self._found[id(owner)] = owner, found
        for name, attribute in getattr(owner, "__dict__", {}).items():
            found[name] = self._plain(attribute)


_ABSENT = object()
