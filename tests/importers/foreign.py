"""Running other codes' training functions as they are, on our weights and draws, to make fixtures."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from torch import nn
from trained import weights


def commit(checkout: Path) -> str:
    return subprocess.run(
        ["git", "-C", checkout, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()


def fill(case: str, network: nn.Module) -> dict[str, list[int]]:
    """Give a network our weights; the shapes of its tensors."""
    shapes = {name: list(value.shape) for name, value in network.state_dict().items()}
    network.load_state_dict(weights(case, shapes))
    return shapes


class Stub(types.ModuleType):
    """A module that is empty, and of which anything can be imported."""

    __path__: ClassVar[list[str]] = []  # type: ignore[misc]

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return types.SimpleNamespace()


def stub(*names: str) -> None:
    sys.modules.update({name: Stub(name) for name in names})


@contextlib.contextmanager
def replaced(owner: Any, **functions: Callable[..., Any]) -> Iterator[None]:
    before = {name: getattr(owner, name) for name in functions}
    for name, function in functions.items():
        setattr(owner, name, function)
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(owner, name, function)


def recorded(losses: dict[str, list[float]], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which also writes down the sum of what it returns."""

    def call(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        losses.setdefault(name, []).append(float(sum(result) if isinstance(result, tuple) else result))
        return result

    return call
