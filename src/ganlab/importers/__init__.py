"""Checkpoints of other codes, read as data and turned into run folders; a format is one file in this package.

A format's module has

- ``NAME``: what ``format=`` takes;
- ``role(tensors)``: "generator", "discriminator" or another role of a game if the tensors' names are this format's,
  else None;
- ``generator(tensors, **options)``, and for each other role a function of its name, such as
  ``discriminator(tensors, image)``: a `Network` each, ``image`` being that of the generator's;

and, if it needs them,

- ``OPTIONS``: what ``generator`` takes, with defaults; ``ganlab import`` takes it as well;
- ``networks(content)``: tensors by role, of a file that holds several networks; None if it is not this format's;
- ``classes(discriminator)``: the number of classes, which generators then find as ``tensors.classes``;
- ``BESIDE``: the roles that its games have beside the generator, if they are not the discriminator alone;
- ``AVERAGES``: how files of averaged generators are called, beside those with ``ema`` in their names;
- ``STAND_INS``: (class, name): what is made of objects of a class that files name, instead of refusing them.
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
    """Return the options of a format, with their defaults."""
    return list(getattr(module, "OPTIONS", {}).items())


def stand_ins() -> list[Any]:
    """Return the classes that take the place of those that files name, for all formats."""
    return [pair for module in formats().values() for pair in getattr(module, "STAND_INS", ())]
