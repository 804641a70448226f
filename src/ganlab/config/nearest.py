"""The keys of a configuration that a wrong one may have been meant for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST = 3


def suggestion(key: str, config: Mapping[str, Any]) -> str:
    """`` Did you mean 'augment.kimg'?``, of the keys of ``config`` that end as ``key`` does; or an empty string.

    One part too many comes first (``augment.kimg`` for ``augment.ada.kimg``), then another beginning
    (``reg.r1.gamma`` for ``loss.r1.gamma``), then the same beginning (``reg.sn.players`` for ``reg.players``),
    then any key of this last part.
    """
    first, *rest = parts = key.split(".")
    same = [full for full in _full(config, "") if full.rpartition(".")[2] == parts[-1] and full != key]
    shorter = {".".join(parts[:i] + parts[i + 1 :]) for i in range(len(rest))}
    likely = (
        [full for full in same if full in shorter and "." in full],
        [full for full in same if len(rest) > 1 and full.endswith(f".{'.'.join(rest)}")],
        [full for full in same if full.startswith(f"{first}.")],
        same,
    )
    found = next(filter(None, likely), [])[:MOST]
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else ""


def _full(node: Any, prefix: str) -> Iterator[str]:
    for name, value in node.items() if isinstance(node, Mapping) else ():
        key = f"{prefix}.{name}" if prefix else str(name)
        yield key
        yield from _full(value, key)
