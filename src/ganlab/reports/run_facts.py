"""Facts of a run for its page: grids, losses, the command line and the configuration."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from ganlab.core import files, run_files
from ganlab.reports import curves, grids, pages
from ganlab.reports.pages import Part, Picture

GRIDS = 3  # the first, a middle and the last one
_LONGEST = 200_000  # characters of a configuration


def run_facts(folder: Path) -> dict[str, Any]:
    """Return what a page shows of a run, for the template run.html; what is missing or cannot be read is empty."""
    parts = [
        Part("Samples during training, the same latents every time", pictures=_grids(folder)),
        Part("Losses and what else was logged", charts=curves.losses(folder)),
    ]
    return {"parts": parts, "command": command(folder), "configuration": configuration(folder)}


def _grids(folder: Path) -> list[Picture]:
    found = grids.found(folder)
    chosen = {round(i * (len(found) - 1) / (GRIDS - 1)) for i in range(GRIDS)} if found else set()
    shown = (pages.picture(path, f"iteration {iteration}") for iteration, path in (found[i] for i in sorted(chosen)))
    return [picture for picture in shown if picture is not None]


def command(folder: Path) -> str:
    """Return the command line of a run; empty if it is not known."""
    try:
        words = json.loads(files.read(folder / run_files.ENVIRONMENT))["command"]
        program = Path(words[0]).name
        return shlex.join(["ganlab" if program == "__main__.py" else program, *words[1:]])  # python -m ganlab
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return ""


def configuration(folder: Path) -> str:
    """Return config.yaml as text, cut where it is very long; empty if it cannot be read."""
    try:
        text = files.read(folder / run_files.CONFIG).decode(errors="replace")
    except OSError:
        return ""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n..."
