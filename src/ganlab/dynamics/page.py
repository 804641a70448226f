"""The page of the Dirac-GAN: a lecture with a laboratory, in one file that computes in the browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ganlab.dynamics import behaviour, building, laboratory, offers, theory, tour, trajectories, verdicts
from ganlab.dynamics.quadrature import LEVELS, nodes
from ganlab.reports import pages

FILE = "dynamics.html"
TITLE = "Which GANs converge?"
ITERATIONS = 4000  # most of a trajectory that is judged
_ASSETS = Path(__file__).with_name("assets")
MATHEMATICS = tuple(_ASSETS / name for name in ("dirac.js", "eigenvalues.js", "judgement.js", "settings.js"))
_DRAWING = tuple(_ASSETS / name for name in ("pictures.js", "lecture.js"))


def write(path: Path) -> Path:
    """Write the page, whole or not at all.

    Raises:
        GanlabError: If it cannot be written.
    """
    scripts = [script.read_text(encoding="utf-8") for script in (*MATHEMATICS, *_DRAWING)]
    return pages.save(
        path,
        "dynamics.html",
        title=TITLE,
        problem=building.problem(offers.PROBLEM).about,
        texts={**texts(), "numbers": json.dumps(numbers())},  # as text, of which no digit is lost
        **pages.with_scripts(["\n".join(scripts)]),
    )


def texts() -> dict[str, Any]:
    """Return what can be chosen on the page, and its tour."""
    return {**offers.plain(), "stops": tour.plain()}


def numbers() -> dict[str, Any]:
    """Return the numbers that the page computes with, which are those of this room's modules."""
    return {
        "nodes": nodes(LEVELS, "normal").tolist(),
        "limits": {
            module.__name__.rpartition(".")[2]: _constants(module)
            for module in (behaviour, theory, trajectories, laboratory)
        },
        "words": {name: value for name, value in vars(verdicts).items() if name.isupper() and isinstance(value, str)},
        "iterations": ITERATIONS,
    }


def _constants(module: Any) -> dict[str, Any]:
    """Return the numbers that a module declares, by name, and its tuples of numbers."""
    found = {name.strip("_").lower(): value for name, value in vars(module).items() if name.isupper()}
    return {name: value for name, value in found.items() if isinstance(value, (int, float, tuple))}
