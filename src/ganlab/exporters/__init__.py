"""Formats in which a generator leaves ganlab; each is one file in this package.

A format's module has

- ``NAME``, ``ABOUT``: what ``format=`` takes, and what it is in a line;
- ``SUFFIX``: of its file; empty for a folder;
- ``PACKAGES``: modules that it needs beside ganlab's own requirements;
- ``write(made, path)``: writes a `ganlab.exporters.portable.Made` into a new file, or an empty folder, ``path``;
- ``is_own(path)``: tells if a file or a folder is one that it wrote.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from types import ModuleType

from ganlab.core.errors import GanlabError, suggestion

EXTRA = "export"


def formats() -> dict[str, ModuleType]:
    """The formats that are known, by name."""
    found = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    return {module.NAME: module for module in found if hasattr(module, "NAME")}


def chosen(name: str) -> ModuleType:
    """Return the module of a format.

    Raises:
        GanlabError: If there is none of this name, or a package that it needs is not installed.
    """
    known = formats()
    if name not in known:
        raise GanlabError(f"format={name} is not known.{suggestion(name, known)} Formats: {', '.join(known)}.")
    refuse_without(known[name].PACKAGES, f"format={name}")
    return known[name]


def refuse_without(packages: tuple[str, ...], what: str) -> None:
    """Raises:
    GanlabError: If one of ``packages`` is not installed.
    """
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise GanlabError(f'{what} needs {" and ".join(missing)}: pip install "ganlab[{EXTRA}]".')
