"""The picture of a game: vector field, trajectories and eigenvalues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.dynamics import numbers
from ganlab.dynamics.laboratory import Findings

KINDS = ("png", "svg", "pdf")
_COLOURS = ("#d95f22", "#2a78d6", "#1f9e77")


def kind_of(path: Path) -> str:
    """Return the kind of a picture, one of `KINDS`, by its name.

    Raises:
        GanlabError: If it is none of them.
    """
    kind = path.suffix.removeprefix(".").lower()
    if kind not in KINDS:
        raise GanlabError(f"out={path} must end in one of {', '.join(f'.{one}' for one in KINDS)}.")
    return kind


def write(found: Findings, path: Path) -> None:
    """Write the picture; its kind is that of the file's name.

    Raises:
        GanlabError: If there is no such kind, or the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kind = kind_of(path)
    shown = numbers.of(found, points=4000)
    panels = len(shown["planes"]) + (shown["flow"] is not None) + (shown["map"] is not None)
    figure = Figure(figsize=(4.2 * panels, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = iter(np.atleast_1d(figure.subplots(1, panels)))
    for plane in shown["planes"]:
        _draw_plane(next(axes), shown, plane)
    if shown["flow"] is not None:
        _draw_flow(next(axes), shown["flow"])
    if shown["map"] is not None:
        _draw_map(next(axes), shown["map"])
    rate = shown["verdict"]["rate"]
    said = shown["verdict"]["word"] + ("" if rate is None else f", {rate:.6g} an iteration")
    figure.suptitle(f"{shown['problem']}: {said}")
    try:
        with files.whole(path) as file:
            figure.savefig(file, format=kind, dpi=120)
    except OSError as error:
        raise GanlabError(f"out={path} cannot be written: {error.strerror or error}.") from error


def _draw_plane(axes: Any, shown: Any, plane: Any) -> None:
    across, up = plane["weights"]
    at, arrows = np.array(plane["at"], float), np.array(plane["arrows"], float)
    length = np.linalg.norm(arrows, axis=1, keepdims=True)
    way = np.where(length > 0, arrows / np.maximum(length, 1e-300), 0)
    axes.quiver(*at.T, *way.T, color="#a09c98", angles="xy", width=0.003)
    low, high = at.min(0), at.max(0)
    for number, (path, colour) in enumerate(zip(shown["paths"], _COLOURS, strict=False)):
        line = np.array(path, float)[:, [across, up]]
        axes.plot(*line.T, color=colour, linewidth=0.8)
        if number:  # the first begins too near to be seen
            axes.plot(*line[0], "o", color=colour, markersize=4)
    axes.plot(shown["rest"][across], shown["rest"][up], "k+", markersize=9)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), title="field and trajectories")
    axes.set(xlabel=shown["weights"][across], ylabel=shown["weights"][up])


def _draw_flow(axes: Any, values: Any) -> None:
    axes.axvline(0, color="#a09c98", linewidth=0.8)
    axes.plot(*np.array(values).T, "o", color=_COLOURS[1])
    axes.set(title="eigenvalues of the flow\n(it converges if all lie left of 0)", xlabel="real", ylabel="imaginary")
    axes.margins(0.3)
    axes.locator_params(axis="x", nbins=5)


def _draw_map(axes: Any, values: Any) -> None:
    turn = np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(turn), np.sin(turn), color="#a09c98", linewidth=0.8)
    axes.plot(*np.array(values).T, "o", color=_COLOURS[0])
    axes.set(title="eigenvalues of an iteration\n(it converges if all lie within the circle)")
    axes.set(xlabel="real", ylabel="imaginary", aspect="equal")
