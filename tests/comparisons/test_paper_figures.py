"""Figures for a paper: nothing is cut off."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ganlab.comparisons import paper_figures
from ganlab.reports.interactive import Plot, Trace


@pytest.mark.parametrize("name", ["reg=sn", "augment=ada augment.target=0.6 reg.r1.gamma=10"])
def test_the_legend_of_many_lines_lies_inside_the_figure(name: str, tmp_path: Path) -> None:
    traces = [Trace(f"{name}{number}", [1, 2], [3, 4], place=number) for number in range(1, 13)]
    drawn = []

    def draw(figure: Figure) -> None:
        paper_figures._curves(figure, Plot("fid", "kimg", traces))
        canvas = figure.canvas
        assert isinstance(canvas, FigureCanvasAgg)
        canvas.draw()
        (legend,) = figure.legends
        drawn.append((legend.get_window_extent(canvas.get_renderer()), figure.bbox))

    paper_figures._saved(draw, tmp_path / "curves")
    ((legend, whole),) = drawn
    assert whole.x0 <= legend.x0
    assert legend.x1 <= whole.x1
    assert legend.y1 <= whole.y1
