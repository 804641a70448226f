"""Facts of a run for its page: grids, losses, the command line and the configuration."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from ganlab.core import files
from ganlab.reports import curves, pages
from ganlab.reports.pages import Part, Picture

GRIDS = 3  # the first, a middle and the last one
_LONGEST = 200_000  # characters of a configuration
_GRID = re.compile(r"iteration_(\d{1,12})\.png")


def run_facts(folder: Path) -> dict[str, Any]:
    """Return what a page shows of a run, for the template run.html; what is missing or cannot be read is empty."""
    parts = [
        Part("Samples during training, the same latents every time", pictures=_grids(folder)),
        Part("Losses and what else was logged", charts=curves.losses(folder)),
    ]
    return {"parts": parts, "command": _command(folder), "configuration": _configuration(folder)}


def _grids(folder: Path) -> list[Picture]:
    found = sorted(
        (int(match[1]), path)
        for path in (folder / "samples").glob("iteration_*.png")
        if (match := _GRID.fullmatch(path.name)) and not path.parent.is_symlink()
    )
    chosen = {round(i * (len(found) - 1) / (GRIDS - 1)) for i in range(GRIDS)} if found else set()
    shown = (pages.picture(path, f"iteration {iteration}") for iteration, path in (found[i] for i in sorted(chosen)))
    return [picture for picture in shown if picture is not None]


def _command(folder: Path) -> str:
    try:
        words = json.loads(files.read(folder / "environment.json"))["command"]
        return shlex.join([Path(words[0]).name, *words[1:]])
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return ""


def _configuration(folder: Path) -> str:
    try:
        text = files.read(folder / "config.yaml").decode(errors="replace")
    except OSError:
        return ""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n..."
