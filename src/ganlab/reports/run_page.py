"""page.html: one run, with curves, grids, configuration, command and environment; also while it is being trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ganlab.contracts.figures import Chart
from ganlab.core import files, run_files
from ganlab.core.json_lines import is_number
from ganlab.evaluation import scores
from ganlab.reports import curves, grids, interactive, logged, page, run_facts
from ganlab.reports.interactive import Row
from ganlab.reports.logged import Logged
from ganlab.reports.numbers import on_page
from ganlab.reports.pages import Part
from ganlab.reports.words import counted, things

FILE = "page.html"
_CLOCK = "run"
_OTHERS = "Speed, and what else was logged"
_NAMES = 60  # of constants, packages and classes that are listed


def write(folder: Path, state: str, refresh_seconds: int = 0) -> Path:
    """Write the page of a run folder, whole or not at all.

    Args:
        folder: The run folder.
        state: What is known of the run: ``finished``, ``running``.
        refresh_seconds: The page loads itself again so often; 0: never.

    Raises:
        GanlabError: If it cannot be written, or somebody has altered a line of evaluation.jsonl.
    """
    log, records, measured = logged.read(folder), scores.read(folder), logged.measured(folder)
    clocks = {_CLOCK: interactive.clock(log.kimg, log.seconds)} if log.kimg else {}
    frames = grids.frames({"": [(i, kimg_of(log, i), path) for i, path in grids.found(folder)]})[""]
    environment = _environment(folder)
    protocols = page.by_protocol(records)
    return interactive.save(
        folder / FILE,
        "run_page.html",
        clocks,
        refresh_seconds,
        title=f"Run {folder.name}",
        state=", ".join(filter(None, [state, *_length(log)])),
        watched=refresh_seconds > 0,
        headline=page.headline_of(protocols[0]) if protocols else None,
        sections=[
            (part.title, [interactive.of_chart(chart, _CLOCK) for chart in part.charts])
            for part in [*_evidence(log), *_scores(protocols), *_grouped(log.scalars), *_afterwards(measured)]
            if part
        ],
        guard=[said for said, _ in log.events],
        details=page.details(protocols[0]) if protocols else None,
        constants=_constants(log.scalars, measured),
        rows=[Row("", {"": frames})] if frames else [],
        facts=_facts(environment),
        command=run_facts.command(folder),
        configuration=run_facts.configuration(folder),
    )


def kimg_of(log: Logged, iteration: int) -> float:
    """Return the kimg of an iteration, between or beyond those that were logged."""
    if not log.kimg or not log.iterations[-1]:
        return float(iteration)
    if iteration > log.iterations[-1]:
        return log.kimg[-1] * iteration / log.iterations[-1]
    return float(np.interp(iteration, [0, *log.iterations], [0.0, *log.kimg]))


def _length(log: Logged) -> list[str]:
    if not log.kimg:
        return ["nothing is logged yet"]
    words = [f"{counted(log.iterations[-1], 'iteration')}", f"{on_page(log.kimg[-1])} kimg"]
    if log.seconds[-1] > 0:
        speed = 1000 * log.kimg[-1] / log.seconds[-1]
        words += [f"{_duration(log.seconds[-1])} of training", f"{on_page(speed)} samples/s"]
    return words


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def _scores(protocols: Sequence[Sequence[dict[str, Any]]]) -> list[Part]:
    """Return a part for each protocol that several checkpoints were scored under."""
    parts = []
    for group in protocols:
        of_run = [record for record in group if record["subject"]["kind"] == "run"]
        if of_run:
            protocol = of_run[-1]["protocol"]
            images = (
                f"{counted(protocol['samples'], 'sample')}, {protocol['reference'].get('split')} {things(of_run[-1])}"
            )
            found = curves.over_training(group, of_run[-1])
            parts.append(Part(f"Scores under protocol {protocol.get('name')}: {images}", charts=found.charts))
    return parts


def _evidence(log: Logged) -> list[Part]:
    """Return a part with what showed the guard that the run fails, if it saw anything."""
    names = dict.fromkeys(quantity for _, quantity in log.events)
    shown = {name: log.scalars[name] for name in names if name in log.scalars}
    return [Part("What the guard saw", charts=curves.charts(shown))] if shown else []


def _grouped(scalars: Mapping[str, curves.Points]) -> list[Part]:
    """Return a part for each group of scalars, ``discriminator/...``, and one for those without a group."""
    groups: dict[str, dict[str, curves.Points]] = {}
    for name, points in scalars.items():
        if curves.varies(points):
            group = name.partition("/")[0] if "/" in name else _OTHERS
            groups.setdefault(group, {})[name] = points
    ordered = sorted(groups, key=lambda group: group == _OTHERS)
    return [
        Part(group[:1].upper() + group[1:], charts=_short(curves.charts(_side_by_side(groups[group])), group))
        for group in ordered
    ]


def _side_by_side(scalars: Mapping[str, curves.Points]) -> dict[str, curves.Points]:
    """Return scalars in an order in which what an instrument measured of the layers of each player stands together: the
    generator's ``sigma0`` beside the discriminator's."""
    of_layers = [name for name in scalars if curves.of_layer(name)]
    others = [name for name in scalars if not curves.of_layer(name)]
    ordered = [*others, *sorted(of_layers, key=lambda name: name.rpartition("/")[2])]
    return {name: scalars[name] for name in ordered}


def _afterwards(measured: Mapping[str, curves.Points]) -> list[Part]:
    """Return the parts of what was measured on several checkpoints."""
    return [replace(part, title=f"{part.title}, measured on checkpoints") for part in _grouped(measured)]


def _short(charts: Sequence[Chart], group: str) -> list[Chart]:
    """Return charts whose titles and lines do not repeat the group that they lie in."""

    def short(name: str) -> str:
        return name.removeprefix(f"{group}/")

    return [
        replace(chart, title=short(chart.title), lines=[replace(line, name=short(line.name)) for line in chart.lines])
        for chart in charts
    ]


def _constants(scalars: Mapping[str, curves.Points], measured: Mapping[str, curves.Points]) -> str:
    same = {name: points[0][1] for name, points in scalars.items() if not curves.varies(points)}
    same |= {name: points[-1][1] for name, points in measured.items() if not curves.varies(points)}
    shown = [f"{name} {on_page(value)}" for name, value in list(same.items())[:_NAMES]]
    return ", ".join(shown)


def _environment(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(files.read(folder / run_files.ENVIRONMENT))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _facts(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what environment.json says, name and text; parts of another form are left out."""
    known = {name: environment.get(name) for name in ("time", "python", "platform", "threads")}
    facts = [(name, str(value)) for name, value in known.items() if isinstance(value, (str, int))]
    for name, value in _mapping(environment.get("commits")).items():
        facts.append((f"commit of {'the folder' if name == 'folder' else name}", str(value or "no git checkout")))
    packages = _mapping(environment.get("packages"))
    if packages:
        facts.append(("packages", ", ".join(f"{name} {version}" for name, version in list(packages.items())[:_NAMES])))
    devices = environment.get("cuda")
    if isinstance(devices, list):
        facts.append(("GPUs", ", ".join(map(str, devices)) or "none"))
    return facts + _data(_mapping(environment.get("data")))


def _data(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    words, size = [], data.get("found_size")
    are_points = size == [1, 1]
    if is_number(data.get("images")):
        words.append(counted(int(data["images"]), "point" if are_points else "image"))
    if isinstance(size, list) and not are_points:
        words.append("x".join(map(str, reversed(size))))
    classes = data.get("classes")
    if isinstance(classes, list) and classes:
        words.append(f"{len(classes):,} classes")
    if isinstance(data.get("contents"), str):
        words.append(f"contents {data['contents']}")
    return [("data", ", ".join(words))] if words else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
