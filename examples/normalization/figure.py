"""Draw the slopes of discriminators over training, and the products of their layers' norms.

    python examples/normalization/figure.py slopes.png RUN RUN ...

Runs are trained with ``watch=lipschitz``. Above: the largest slope at reals, fakes and between. Below: the product of
the layers' largest singular values. Lines have the names of the folders.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ganlab.reports import logged

POINTS = ("real", "fake", "between")
COLOURS = ("#b8860b", "#2a6fbb", "#c0392b", "#2e8b57", "#7d3c98")


def main(path: str, *runs: str) -> None:
    figure = Figure(figsize=(7, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, sharex=True)
    for run, colour in zip(runs, COLOURS, strict=False):
        scalars = logged.read(Path(run)).scalars
        largest = [
            max(values) for values in zip(*(_values(scalars[f"lipschitz/{p}_max"]) for p in POINTS), strict=True)
        ]
        product = scalars["lipschitz/sigma_product"]
        kimg = [x for x, _ in product]
        above.plot(kimg, largest, color=colour, label=Path(run).name.replace("_", " "))
        below.plot(kimg, _values(product), color=colour)
    above.set_ylabel("largest slope |dD/dx|")
    below.set(ylabel="product of norms", xlabel="kimg")
    for axes in (above, below):
        axes.set_yscale("log")
        axes.axhline(1, color="0.6", linewidth=0.8)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    above.legend(frameon=False)
    figure.savefig(path, dpi=110)


def _values(points: Sequence[tuple[float, float]]) -> list[float]:
    return [y for _, y in points]


if __name__ == "__main__":
    main(*sys.argv[1:])
