"""Names of run folders, which say what the runs are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganlab.config.schema import COMPONENT

LONGEST_PART = 24
_UNSAFE = re.compile(r"[^A-Za-z0-9.+-]+")


def name(config: Mapping[str, Any]) -> str:
    """``biggan_digits_hinge_0``: generator, data, loss (or game, where none is taken) and seed.

    Each part is of ASCII letters, digits and ``.+-``, and at most `LONGEST_PART` characters long.

    Args:
        config: Of the run.
    """
    loss = (config.get("loss") or {}).get(COMPONENT) or config["game"][COMPONENT]
    parts = [config["generator"][COMPONENT], data_name(config["data"]), loss, str(config["seed"])]
    return "_".join(filter(None, map(_safe, parts)))


def data_name(node: Mapping[str, Any]) -> str:
    """The data's option ``name``, or the last part of its ``path``, or its component.

    Args:
        node: The section ``data`` of a configuration.
    """
    path = node.get("path")
    given = (node.get("name"), Path(path).absolute().stem if isinstance(path, str) else None)
    return next((word for word in given if isinstance(word, str) and _safe(word)), str(node[COMPONENT]))


def _safe(part: str) -> str:
    return _UNSAFE.sub("-", part).strip("-.")[:LONGEST_PART].rstrip("-.")
