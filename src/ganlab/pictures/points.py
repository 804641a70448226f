"""Samples of a run whose data are points: plots, animations and tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.pictures import animation, kinds, latent_space
from ganlab.runs.sampler import Sampler
from ganlab.sampling import captions, generation, scatter

COUNTS = {"grid": 2000, "interpolation": 6, "truncation": 500}  # points; paths; points of each plot
MOVING, STEPS = 500, 100  # points that move; points of a path
TABLES = (".npz", ".csv")
_SMALL = 320  # pixels of one of several plots


def make(run: Sampler, out: Path, chosen: Mapping[str, Any]) -> int:
    """Write a plot, an animation or a table, and return the number of points in it.

    Raises:
        GanlabError: If a kind or a name of a file has no meaning for points.
        OSError: If it cannot be written.
    """
    kind, suffix = chosen["kind"], out.suffix.lower()
    _refuse(kind, suffix, out, chosen)
    chosen = {**chosen, "count": chosen["count"] or (MOVING if suffix in animation.SUFFIXES else COUNTS[kind])}
    return {"grid": _grid, "truncation": _truncation, "interpolation": _interpolation}[kind](run, out, chosen)


def _refuse(kind: str, suffix: str, out: Path, chosen: Mapping[str, Any]) -> None:
    if kind not in COUNTS:
        raise GanlabError(f"kind={kind} is for images, and this run makes points: take kind={', '.join(COUNTS)}.")
    more = {"grid": TABLES, "interpolation": animation.SUFFIXES}.get(kind, ())
    if suffix not in (".png", *more):
        raise GanlabError(f"out={out}: points are written as a plot (.png) or, of kind=grid, as .npz or .csv.")
    if chosen["columns"] is not None:
        raise GanlabError(
            f"columns={chosen['columns']} is of a grid of images, and this run makes points: leave it out."
        )


def _grid(run: Sampler, out: Path, chosen: Mapping[str, Any]) -> int:
    points, labels = kinds.of_grid(run, chosen["count"], chosen)
    if out.suffix.lower() not in TABLES:
        generation.write_png(scatter.picture(points, run.real_points(), labels), out)
    elif out.suffix.lower() == ".npz":
        arrays = {"arr_0": points.flatten(1).numpy()}
        if labels is not None:
            arrays["arr_1"] = np.array(labels, dtype=np.int64)
        with files.whole(out) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    else:
        with files.whole(out) as file:
            file.write(_csv(points.flatten(1), labels).encode())
    return len(points)


def _csv(points: Tensor, labels: Sequence[int] | None) -> str:
    """Return a table with a row for each point, and its class where there are classes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ["x", "y", *(f"x{number}" for number in range(2, points.shape[1]))][: points.shape[1]]
    writer.writerow([*names, *(["class"] if labels is not None else [])])
    for number, row in enumerate(points.numpy()):
        writer.writerow([*(str(value) for value in row), *([labels[number]] if labels is not None else [])])
    return text.getvalue()


def _interpolation(run: Sampler, out: Path, chosen: Mapping[str, Any]) -> int:
    if chosen["between"] == "w":
        raise GanlabError("between=w needs a generator with a w space: take between=latents.")
    count, moving = chosen["count"], out.suffix.lower() in animation.SUFFIXES
    steps = chosen["steps"] or (animation.STEPS if moving else STEPS)
    common = {key: chosen[key] for key in ("between", "path", "labels", "truncation", "seed")}
    points = latent_space.interpolation(run, count, steps, **common)  # (count·steps, D, 1, 1)
    if not moving:
        rows = torch.arange(count).repeat_interleave(steps).tolist()
        generation.write_png(scatter.picture(points, run.real_points(), rows), out)
        return len(points)
    reals = run.real_points()
    bounds = scatter.around(points if reals is None else reals)
    each = points.unflatten(0, (count, steps)).unbind(1)
    animation.write([scatter.picture(step, reals, bounds=bounds) for step in each], out)
    return len(points)


def _truncation(run: Sampler, out: Path, chosen: Mapping[str, Any]) -> int:
    count, thresholds = chosen["count"], chosen["thresholds"] or kinds.THRESHOLDS
    common = {"labels": chosen["labels"], "seed": chosen["seed"], "passes": chosen["standing_statistics"]}
    points = latent_space.by_truncation(run, thresholds, count, **common)
    reals = run.real_points()
    tiles = torch.stack([scatter.picture(part, reals, side=_SMALL) for part in points.split(count)])
    names = [f"|z| < {threshold:g}" for threshold in thresholds]
    generation.write_png(captions.beside(generation.grid(tiles.float() / 127.5 - 1, 1), names), out)
    return len(points)
