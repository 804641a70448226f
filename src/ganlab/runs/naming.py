"""Names of run folders, made of generator, data, loss and seed."""

from __future__ import annotations

import re
from pathlib import Path

from ganlab.config.configuration import Config
from ganlab.core import code_files, kinds

LONGEST_PART = 24
_UNSAFE = re.compile(r"[^A-Za-z0-9.+-]+")


def name(config: Config) -> str:
    """``biggan_digits_hinge_0``: generator (or another network), data, loss (or game) and seed.

    Each part is of ASCII letters, digits and ``.+-``, and at most `LONGEST_PART` characters long.
    """
    loss = code_files.short(config["loss" if "loss" in config else "game"].name)
    networks = [code_files.short(part.name) for part in config.roles(kinds.networks()).values()]
    parts = [*networks[:1], data_name(config), loss, str(config.seed)]
    return "_".join(filter(None, map(_safe, parts)))


def data_name(config: Config) -> str:
    """The data's option ``name``, or the last part of its ``path``, or its component."""
    options = config["data"].options
    path = options.get("path")
    given = (options.get("name"), Path(path).absolute().stem if isinstance(path, str) else None)
    return next(
        (word for word in given if isinstance(word, str) and _safe(word)), code_files.short(config["data"].name)
    )


def _safe(part: str) -> str:
    return _UNSAFE.sub("-", part).strip("-.")[:LONGEST_PART].rstrip("-.")
