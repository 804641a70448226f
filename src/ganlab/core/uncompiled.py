"""Functions that stay outside of compiled graphs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


def uncompiled(function: Callable[P, T]) -> Callable[P, T]:
    """Decorator that keeps a function out of graphs of torch.compile, as `torch.compiler.disable` does.

    That is called at the first call: it imports the compiler, which takes more than a second.
    """
    disabled: Callable[P, T] | None = None

    @wraps(function)
    def call(*args: P.args, **options: P.kwargs) -> T:
        nonlocal disabled
        if disabled is None:
            disabled = torch.compiler.disable(function)
        return disabled(*args, **options)

    return call
