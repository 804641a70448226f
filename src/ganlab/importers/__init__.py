"""Checkpoints of other codes, read as data and turned into run folders; a format is one file in this package.

A format's module has

- ``NAME`` and ``ABOUT``: what ``format=`` takes, and what it is in a line;
- ``role(tensors)``: "generator" or "discriminator" if the tensors' names are this format's, else None;
- ``generator(tensors)`` and ``discriminator(tensors, generator)``: a `Network` each.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def formats() -> dict[str, ModuleType]:
    """The formats that are known, by name."""
    found = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    return {module.NAME: module for module in found if hasattr(module, "NAME")}
