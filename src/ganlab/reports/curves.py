"""Charts of a run: losses over training from metrics.jsonl, scores over training and over truncation."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganlab.contracts.figures import Chart, Line
from ganlab.reports import logged
from ganlab.reports.numbers import on_page
from ganlab.reports.pages import Part
from ganlab.reports.words import BETTER, called, judged, things

Record = dict[str, Any]
Points = Sequence[tuple[float, float]]
POINTS = 200  # of a curve
CHARTS = 24
_OF_LAYERS = 3  # slashes in the name of an instrument's number of a layer


def losses(folder: Path) -> list[Chart]:
    """Return a chart for each scalar of each player; one for a pair that differs in ``real`` and ``fake`` alone.

    What stays the same over the run is left out. Lines that cannot be read are passed over.
    """
    found = {name: points for name, points in logged.read(folder).scalars.items() if "/" in name and varies(points)}
    return charts(found)[:CHARTS]


def varies(points: Points) -> bool:
    """Tell if a scalar does not stay the same over the run."""
    return len({value for _, value in points}) > 1


def charts(found: Mapping[str, Points]) -> list[Chart]:
    """Return a chart for each scalar; one for a pair that differs in ``real`` and ``fake`` alone, and one for what an
    instrument measured of all layers of a player, as of ``spectra/generator/LAYER/sigma0`` (figure 3 of Brock et al.
    2019, arXiv:1809.11096), whose sizes may differ by far."""
    together: dict[str, list[str]] = {}
    for name in found:
        together.setdefault(_title(name), []).append(name)
    drawn = []
    for title, names in together.items():
        title = names[0] if len(names) == 1 else title
        sizes = of_layer(names[0]) and all(y > 0 for name in names for _, y in found[name])
        lines = [_thinned(name, found[name]) for name in names]
        drawn.append(Chart(title, "kimg", title.rpartition("/")[2], lines, logarithmic=sizes))
    return drawn


def _title(name: str) -> str:
    if of_layer(name):
        instrument, player, _, quantity = name.split("/")
        return f"{instrument}/{player}/layers/{quantity}"
    return re.sub("(real|fake)_", "", name)


def of_layer(name: str) -> bool:
    """Tell if a scalar is of a layer of a player, as ``spectra/generator/LAYER/sigma0`` is."""
    return name.count("/") == _OF_LAYERS


def _thinned(name: str, points: Points) -> Line:
    """Return means of parts of the points where there are many, with the range of each part as a band."""
    each = math.ceil(len(points) / POINTS)
    if each == 1:
        return Line(name, points)
    parts = [points[at : at + each] for at in range(0, len(points), each)]
    middle = [sum(x for x, _ in part) / len(part) for part in parts]
    mean = [sum(y for _, y in part) / len(part) for part in parts]
    ends = [(min(y for _, y in part), max(y for _, y in part)) for part in parts]
    return Line(name, list(zip(middle, mean, strict=True)), [(x, *e) for x, e in zip(middle, ends, strict=True)])


def over_training(group: Sequence[Record], latest: Record) -> Part:
    """Return a chart for each score over the checkpoints that were evaluated alike.

    They are truncated as the newest one, or, if that is one of a sweep, as most of them are.
    """
    found: dict[float | None, dict[float, Record]] = {}
    for record in group:
        subject = record["subject"]
        if subject["kind"] == "run":
            found.setdefault(subject.get("truncation"), {})[float(subject["kimg"])] = record
    truncation = latest["subject"].get("truncation")
    if found and len(found.get(truncation, {})) < 2:
        truncation = max(found, key=lambda t: len(found[t]))
    records = found.get(truncation, {})
    at = "" if truncation is None else f", truncation {on_page(truncation)}"
    charts = [_chart(name, sorted(records.items()), "kimg") for name in judged(latest)] if len(records) > 1 else []
    return Part(f"Over training{at}", charts=charts)


def over_truncation(group: Sequence[Record]) -> Part:
    """Return the scores, over the threshold, of the newest checkpoint that was swept.

    The first chart has a score of which more is better on one axis and one of which less is better on the other, as
    Brock et al. 2019 (arXiv:1809.11096) draw the Inception Score and FID.
    """
    swept: dict[int, dict[float, Record]] = {}
    for record in group:
        subject = record["subject"]
        if subject["kind"] == "run" and subject.get("truncation") is not None:
            swept.setdefault(subject["iteration"], {})[float(subject["truncation"])] = record
    several = [points for points in swept.values() if len(points) > 1]
    points = sorted(several[-1].items()) if several else []
    names = judged(points[-1][1]) if points else []
    charts = [_chart(name, points, "truncation") for name in names]
    ways = [next((n for n in names if points[-1][1]["values"][n]["better"] == way), "") for way in ("higher", "lower")]
    if all(ways) and all(name in judged(record) for _, record in points for name in ways):
        across, up = ways
        both = [tuple(record["values"][name]["value"] for name in ways) for _, record in points]
        line = Line("truncation", both, labels=[on_page(t) for t, _ in points], written=True)
        title = f"{called(up)} against {called(across)}"
        charts.insert(0, Chart(title, across, up, [line], "by truncation"))
    return Part("Over truncation", charts=charts)


def _chart(name: str, records: Sequence[tuple[float, Record]], x: str) -> Chart:
    having = [(at, record["values"][name]) for at, record in records if name in record["values"]]
    points = [(at, v["value"]) for at, v in having if v["value"] is not None]
    band = [(at, v["low"], v["high"]) for at, v in having if v.get("low") is not None and v.get("high") is not None]
    reals = [v["real"] for _, v in having if v.get("real") is not None]
    note = BETTER.get(having[-1][1].get("better", "none"), "")
    level = (f"real {things(records[-1][1])}", reals[-1]) if reals else None
    return Chart(name, x, name, [Line(name, points, band)], note, level)
