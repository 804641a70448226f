"""The leaves of nested data, and data in which one of them is something else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

REMOVED = object()
Place = tuple[Any, ...]


def leaves(node: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    inner = dict(enumerate(node)) if isinstance(node, (list, tuple)) else node
    children = inner.items() if isinstance(inner, dict) else ()
    found = [leaf for key, value in children for leaf in leaves(value, (*place, key))]
    yield from found or [(place, node)]


def changed(node: Any, place: Place, value: Any) -> Any:
    """A copy in which one place holds something else, or nothing."""
    key, *rest = place
    new = value if not rest else changed(node[key], tuple(rest), value)
    if isinstance(node, dict):
        return {k: new if k == key else v for k, v in node.items() if not (k == key and new is REMOVED)}
    return [new if k == key else v for k, v in enumerate(node) if not (k == key and new is REMOVED)]


def retyped(value: Any) -> list[Any]:
    if isinstance(value, torch.Tensor):
        other = value.float() if not value.is_floating_point() else value.double()
        return ["x", None, other, value.half(), value.to(torch.complex64), value.to("meta"), value.to_sparse(), [value]]
    others: list[Any] = ["x", None, 3, 0.5, True, {}, [], float("nan"), -1, [value], torch.ones(2)]
    return [other for other in others if type(other) is not type(value)]


def reshaped(value: Any) -> list[Any]:
    if isinstance(value, torch.Tensor):
        others = [torch.zeros(2, dtype=value.dtype), value[None], value.new_zeros(0), value.flatten()[:1][None, None]]
        return [other for other in others if other.shape != value.shape]
    return [[value, value], {"value": value}, -value - 1 if type(value) is int else {0: value}]
