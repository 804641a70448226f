"""The page of the Dirac-GAN: a lecture with a laboratory, in one file that computes in the browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from ganlab.core import files
from ganlab.dynamics import behaviour, building, laboratory, offers, pits, theory, tour, trajectories, verdicts
from ganlab.dynamics.quadrature import LEVELS, nodes
from ganlab.reports import pages

FILE = "dynamics.html"
TITLE = "Which GANs converge?"
ITERATIONS = 4000  # most of a trajectory that is judged
_ASSETS = Path(__file__).with_name("assets")
MATHEMATICS = tuple(_ASSETS / name for name in ("dirac.js", "eigenvalues.js", "judgement.js", "settings.js", "pits.js"))
_DRAWING = tuple(_ASSETS / name for name in ("pictures.js", "lecture.js", "rolling.js"))
FILMS = _ASSETS / "films"


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
        films=films(),
        bounds=_embedded("bounds"),
        bounds_narrow=_embedded("bounds_narrow"),
        rolled=pits.roll(),
        samples=pits.SAMPLES,
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
        "pits": pits.plain(),
        "words": {name: value for name, value in vars(verdicts).items() if name.isupper() and isinstance(value, str)},
        "iterations": ITERATIONS,
    }


def films() -> list[dict[str, str]]:
    """Return the films of the energy view: ``title``, ``text``, ``look``, ``command`` and ``source``."""
    known = yaml.safe_load(FILMS.with_suffix(".yaml").read_text(encoding="utf-8"))
    return [
        {**one, "command": f"ganlab dynamics view=energy {one['words']}", "source": _embedded(one["name"])}
        for one in known
    ]


def _embedded(name: str) -> str:
    return pages.embedded(files.read(FILMS / f"{name}.webp"), name, kind="webp").source


def _constants(module: Any) -> dict[str, Any]:
    """Return the numbers that a module declares, by name, and its tuples of numbers."""
    found = {name.strip("_").lower(): value for name, value in vars(module).items() if name.isupper()}
    return {name: value for name, value in found.items() if isinstance(value, (int, float, tuple))}
