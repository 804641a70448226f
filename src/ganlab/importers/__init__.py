"""Checkpoints of other codes, read as data and turned into run folders; a format is one file in this package.

A format's module has

- ``NAME`` and ``ABOUT``: what ``format=`` takes, and what it is in a line;
- ``role(tensors)``: "generator" or "discriminator" if the tensors' names are this format's, else None;
- ``generator(tensors, **options)`` and ``discriminator(tensors, image)``: a `Network` each, ``image`` being that of
  the generator's;
- ``OPTIONS``: what ``generator`` takes, with defaults, if anything; ``ganlab import`` takes it as well.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any


def formats() -> dict[str, ModuleType]:
    """The formats that are known, by name."""
    found = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    return {module.NAME: module for module in found if hasattr(module, "NAME")}


def options(module: ModuleType) -> list[tuple[str, Any]]:
    """What a format takes beside its tensors, with defaults."""
    return list(getattr(module, "OPTIONS", {}).items())
