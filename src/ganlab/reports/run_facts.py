"""Facts of a run for its page: grids, losses, the command line and the configuration."""

from __future__ import annotations

import json
import re
import shlex
from html import escape
from pathlib import Path

from ganlab.core import files
from ganlab.reports import curves, markup

GRIDS = 3  # the first, a middle and the last one
_LONGEST = 200_000  # characters of a configuration
_GRID = re.compile(r"iteration_(\d{1,12})\.png")


def run_facts(folder: Path) -> str:
    """HTML; what is missing or cannot be read is left out. Nothing in it is taken for markup."""
    parts = [_grids(folder), curves.losses(folder), _command(folder), _configuration(folder)]
    body = "".join(parts)
    return f"<h2>The run</h2>{body}" if body else ""


def _grids(folder: Path) -> str:
    found = sorted(
        (int(match[1]), path)
        for path in (folder / "samples").glob("iteration_*.png")
        if (match := _GRID.fullmatch(path.name)) and not path.parent.is_symlink()
    )
    chosen = {round(i * (len(found) - 1) / (GRIDS - 1)) for i in range(GRIDS)} if found else set()
    shown = [markup.picture(path, f"iteration {iteration}") for iteration, path in (found[i] for i in sorted(chosen))]
    return markup.pictures("Samples during training, the same latents every time", shown)


def _command(folder: Path) -> str:
    try:
        words = json.loads(files.read(folder / "environment.json"))["command"]
        command = shlex.join([Path(words[0]).name, *words[1:]])
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return ""
    return f'<h3>Command line</h3><pre class="command">{escape(command)}</pre>'


def _configuration(folder: Path) -> str:
    try:
        text = files.read(folder / "config.yaml").decode(errors="replace")
    except OSError:
        return ""
    cut = "" if len(text) <= _LONGEST else "\n..."
    return markup.folded("The whole configuration (config.yaml)", f"<pre>{escape(text[:_LONGEST] + cut)}</pre>")
