"""Charts of a run: losses over training from metrics.jsonl, scores over training and over truncation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ganlab.core import json_lines
from ganlab.reports import charts, markup
from ganlab.reports.charts import Series, number

Record = dict[str, Any]
METRICS = "metrics.jsonl"
LINES = 4000  # of metrics.jsonl that are read, evenly spread
POINTS = 200  # of a curve
CHARTS = 24
BETTER = {
    "lower": "lower is better",
    "higher": "higher is better",
    "real": "near the real images' is better",
    "none": "",
}


def losses(folder: Path) -> str:
    """A chart for each scalar of each player; of a pair that differs in ``real`` and ``fake`` alone, one for both.

    What stays the same over the run is left out. Lines that cannot be read are passed over.
    """
    found = _scalars(folder)
    together: dict[str, list[str]] = {}
    for name in found:
        together.setdefault(name.replace("real", "*").replace("fake", "*"), []).append(name)
    drawn = []
    for names in list(together.values())[:CHARTS]:
        series = [_thinned(name, found[name]) for name in names]
        title = names[0].replace("real_", "") if len(names) > 1 else names[0]
        drawn.append(markup.figure(title, charts.lines(series, "kimg", title.rpartition("/")[2])))
    return markup.charts("Losses and what else was logged", drawn)


def _scalars(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """(kimg, value) by name."""
    try:
        rows = [row for _, row in json_lines.read(folder / METRICS, LINES)]
    except OSError:
        return {}
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if not isinstance(row, dict) or not _is_number(row.get("kimg")):
            continue
        for name, value in row.items():
            if "/" in name and _is_number(value):
                found.setdefault(name, []).append((row["kimg"], value))
    return {name: points for name, points in found.items() if len({value for _, value in points}) > 1}


def _thinned(name: str, points: Sequence[tuple[float, float]]) -> Series:
    """Means of parts of the points where there are many, with the least and the most of each part as a band."""
    each = math.ceil(len(points) / POINTS)
    if each == 1:
        return Series(name, points)
    parts = [points[at : at + each] for at in range(0, len(points), each)]
    middle = [sum(x for x, _ in part) / len(part) for part in parts]
    mean = [sum(y for _, y in part) / len(part) for part in parts]
    ends = [(min(y for _, y in part), max(y for _, y in part)) for part in parts]
    return Series(name, list(zip(middle, mean, strict=True)), [(x, *e) for x, e in zip(middle, ends, strict=True)])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def over_training(group: Sequence[Record], latest: Record) -> str:
    """A chart a score, over the checkpoints that were evaluated alike: truncated as the newest one, or, if that is one
    of a sweep, as most of them are."""
    found: dict[float | None, dict[float, Record]] = {}
    for record in group:
        subject = record["subject"]
        if subject["kind"] == "run":
            found.setdefault(subject.get("truncation"), {})[float(subject["kimg"])] = record
    if not found:
        return ""
    truncation = latest["subject"].get("truncation")
    if len(found.get(truncation, {})) < 2:
        truncation = max(found, key=lambda t: len(found[t]))
    records = found[truncation]
    if len(records) < 2:
        return ""
    at = "" if truncation is None else f", truncation {number(truncation)}"
    drawn = [_chart(name, sorted(records.items()), "kimg") for name in shown(latest)]
    return markup.charts(f"Over training{at}", drawn)


def over_truncation(group: Sequence[Record]) -> str:
    """Scores over the threshold, and the Inception Score against FID, of the newest checkpoint that was swept."""
    swept: dict[int, dict[float, Record]] = {}
    for record in group:
        subject = record["subject"]
        if subject["kind"] == "run" and subject.get("truncation") is not None:
            swept.setdefault(subject["iteration"], {})[float(subject["truncation"])] = record
    several = [points for points in swept.values() if len(points) > 1]
    if not several:
        return ""
    points = sorted(several[-1].items())
    drawn = []
    if all(_has(record, "fid") and _has(record, "is") for _, record in points):
        both = [(r["values"]["is"]["value"], r["values"]["fid"]["value"]) for _, r in points]
        line = Series("truncation", both, labels=[number(t) for t, _ in points], written=True)
        drawn.append(markup.figure("FID against Inception Score", charts.lines([line], "is", "fid"), "by truncation"))
    drawn += [_chart(name, points, "truncation") for name in shown(points[-1][1])]
    return markup.charts("Over truncation", drawn)


def shown(record: Record) -> list[str]:
    """Scores that have a better and a worse."""
    return [name for name, v in record["values"].items() if v.get("better", "none") != "none" and _has(record, name)]


def _has(record: Record, name: str) -> bool:
    return record["values"].get(name, {}).get("value") is not None


def _chart(name: str, records: Sequence[tuple[float, Record]], x: str) -> str:
    having = [(at, record["values"][name]) for at, record in records if name in record["values"]]
    points = [(at, v["value"]) for at, v in having if v["value"] is not None]
    band = [(at, v["low"], v["high"]) for at, v in having if v.get("low") is not None and v.get("high") is not None]
    reals = [v["real"] for _, v in having if v.get("real") is not None]
    level = ("real images", reals[-1]) if reals else None
    better = BETTER.get(having[-1][1].get("better", "none"), "")
    return markup.figure(name, charts.lines([Series(name, points, band)], x, name, level), better)


def details(found: Mapping[str, Any], values: Mapping[str, Mapping[str, Any]]) -> str:
    """The spectra of generated and real images, and FID over the number of samples."""
    drawn = []
    if spectrum := found.get("spectrum"):
        series = []
        for role, name in (("fake", "generated"), ("real", "real")):
            rows = list(zip(spectrum["frequency"], spectrum[role], spectrum.get(f"{role}_error") or [], strict=False))
            band = [(x, y - 1.96 * e, y + 1.96 * e) for x, y, e in rows if None not in (y, e)]
            series.append(Series(name, list(zip(spectrum["frequency"], spectrum[role], strict=True)), band))
        drawn.append(markup.figure("Radial spectrum", charts.lines(series, "cycles an image", "mean log power, dB")))
    if curve := (found.get("fid_infinity") or {}).get("curve"):
        points = [(1000 / row["samples"], row["fid"]) for row in curve]
        labels = [f"{markup.counted(row['samples'], 'sample')}: {number(row['fid'])}" for row in curve]
        series = [Series("measured", points, labels=labels)]
        if (limit := (values.get("fid_infinity") or {}).get("value")) is not None:
            series.append(Series("extrapolated", [(0.0, limit)]))
        chart = charts.lines(series, "1,000 / samples", "fid")
        drawn.append(markup.figure("FID over sample size", chart, "at 0: infinitely many samples"))
    return markup.charts("Curves", drawn)
