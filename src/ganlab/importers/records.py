"""Objects of a pickle as records of what they hold: modules, and the networks among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

ROLES = {"G": "generator", "D": "discriminator", "G_ema": "average"}
MOST_MODULES, DEEPEST = 20_000, 64


class Record:
    """An object of a class that is known by its name alone, and what it holds."""

    class_name = ""

    def __init__(self) -> None:
        self.content: dict[str, Any] = {}

    def tensors(self) -> dict[str, Tensor]:
        """Its parameters and buffers by their names, as ``state_dict()`` has them."""
        return {
            f"{prefix}{name}": value
            for prefix, module in self.modules()
            for kind in ("_parameters", "_buffers")
            for name, value in _mapping(module.content.get(kind)).items()
            if isinstance(value, Tensor)
        }

    def modules(self) -> Iterator[tuple[str, Record]]:
        """Itself and the modules inside it, each with the prefix of its tensors' names."""
        waiting, seen = [("", self, 0)], 0
        while waiting:
            prefix, module, depth = waiting.pop()
            seen += 1
            if seen > MOST_MODULES or depth > DEEPEST:
                raise ValueError("modules that hold each other")
            yield prefix, module
            inner = _mapping(module.content.get("_modules"))
            waiting += [(f"{prefix}{name}.", m, depth + 1) for name, m in inner.items() if isinstance(m, Record)]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) and all(isinstance(name, str) for name in value) else {}


def networks(content: Any, role: Callable[[dict[str, Tensor]], str | None]) -> dict[str, Record] | None:
    """Return the networks of a training pickle by their roles, or None if ``role`` does not know them all.

    Args:
        role: Tells a network by the names of its tensors, as formats do.
    """
    if not isinstance(content, dict):
        return None
    found = {of: content[name] for name, of in ROLES.items() if isinstance(content.get(name), Record)}
    known = all(role(record.tensors()) == of.replace("average", "generator") for of, record in found.items())
    return found if found and known else None
