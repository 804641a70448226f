"""evaluation.html: what evaluation.jsonl says, to look at; one file that opens from disk."""

from __future__ import annotations

import base64
import io
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.evaluation import scores
from ganlab.reports import charts, numbers
from ganlab.reports.charts import Series, number

FILE = "evaluation.html"
LISTED = 40  # evaluations of a protocol that are listed, the newest ones
BETTER = {
    "lower": "lower is better",
    "higher": "higher is better",
    "real": "near the real images' is better",
    "none": "",
}
PICTURES = {
    "samples": "Generated images, unselected",
    "neighbours": "Samples (left) and their nearest training images; the nearest samples first",
}
Record = dict[str, Any]


def write(folder: Path) -> Path:
    """Write the page of a run folder from its evaluation.jsonl, whole or not at all.

    Protocols that differ have sections of their own: their scores are not compared.

    Raises:
        GanlabError: If there is nothing to show or it cannot be written.
    """
    records = scores.read(folder)
    if not records:
        raise GanlabError(f"{folder} has no scores yet: run `ganlab evaluate {folder}`.")
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record["protocol_hash"], []).append(record)
    newest_first = sorted(groups.values(), key=lambda group: group[-1]["time"], reverse=True)
    body = "".join(section(group, folder) for group in newest_first)
    note = "" if len(groups) == 1 else "<p>Scores of different protocols stand in sections of their own.</p>"
    return save(folder / FILE, f"Evaluation of {folder.name}", note + body)


def save(path: Path, title: str, body: str) -> Path:
    """A page with the style sheet, written whole or not at all.

    Raises:
        GanlabError: If it cannot be written.
    """
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )
    files.write_text(path, text)
    return path


def section(group: Sequence[Record], folder: Path) -> str:
    """What one protocol found, the newest evaluation first."""
    latest = _latest(group)
    held_out = next((r for r in reversed(group) if r["subject"]["kind"] == "real" and r is not latest), None)
    protocol = latest["protocol"]
    parts = [
        f"<h2>Protocol {escape(str(protocol['name']))}</h2>",
        f'<p class="muted">{escape(_in_words(protocol))}</p>',
        f"<h3>{escape(_title(latest))}{_badge(latest)}</h3>",
        _warnings(latest["warnings"]),
        values_table(latest["values"], held_out["values"] if held_out else {}),
        _over_training(group, latest),
        _over_truncation(group),
        _pictures(latest, folder),
        _details(latest["details"], latest["values"]),
        _all_evaluations(group, latest),
        f"<details><summary>The whole protocol</summary><pre>{escape(json.dumps(protocol, indent=2))}</pre></details>",
    ]
    return "".join(parts)


def _latest(group: Sequence[Record]) -> Record:
    """The newest evaluation of a protocol; where the newest ones are a sweep, whose curves are drawn, the newest of the
    same checkpoint without truncation, if there is one."""
    newest_first = [r for r in reversed(group) if r["subject"]["kind"] != "real"] or [group[-1]]
    of = newest_first[0]["subject"]
    same = [r for r in newest_first if r["subject"].get("iteration") == of.get("iteration")]
    together = itertools.takewhile(lambda r: r in same, newest_first)
    swept = len({r["subject"].get("truncation") for r in together} - {None}) > 1
    whole = [r for r in same if r["subject"].get("truncation") is None]
    return whole[0] if swept and whole else newest_first[0]


def values_table(values: Mapping[str, Mapping[str, Any]], held_out: Mapping[str, Mapping[str, Any]]) -> str:
    """Each number with its interval, that of held-out images scored alike, and the reference's own."""
    columns: dict[str, Callable[[Mapping[str, Any]], str]] = {"95 % interval": _interval}
    if any(name in held_out for name in values):
        columns["held-out images"] = lambda v: written(held_out.get(v["name"]))
    if any(v.get("real") is not None for v in values.values()):
        columns["reference's own"] = lambda v: written({**v, "value": v.get("real")})
    rows = [
        [
            cell(name),
            cell(written(v)),
            *(cell(column({**v, "name": name})) for column in columns.values()),
            cell("; ".join(filter(None, [v.get("about", ""), BETTER[v.get("better", "none")]])), text=True),
        ]
        for name, v in values.items()
    ]
    return table(["score", "value", *columns, "-about"], rows)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are HTML; a head that begins with ``-`` is that of a column of text."""
    top = "".join(f'<th class="text">{escape(h[1:])}</th>' if h[:1] == "-" else f"<th>{escape(h)}</th>" for h in heads)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def figure(caption: str, content: str, more: str = "") -> str:
    span = f" <span>{escape(more)}</span>" if more else ""
    return f"<figure><figcaption>{escape(caption)}{span}</figcaption>{content}</figure>"


def picture(path: Path, caption: str) -> str:
    """A PNG inside the page; empty if it is gone."""
    try:
        return figure(caption, _embedded(files.read(path), caption))
    except OSError:
        return ""


def image(content: Image.Image, alt: str) -> str:
    """An image inside the page."""
    file = io.BytesIO()
    content.save(file, format="png")
    return _embedded(file.getvalue(), alt)


def _embedded(png: bytes, alt: str) -> str:
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _over_training(group: Sequence[Record], latest: Record) -> str:
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
    drawn = [_chart(name, sorted(records.items()), "kimg") for name in _shown(latest)]
    at = "" if truncation is None else f", truncation {number(truncation)}"
    return f'<h3>Over training{at}</h3><div class="charts">{"".join(drawn)}</div>'


def _over_truncation(group: Sequence[Record]) -> str:
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
    if all({"fid", "is"} <= record["values"].keys() for _, record in points):
        both = [(r["values"]["is"]["value"], r["values"]["fid"]["value"]) for _, r in points]
        line = Series("truncation", both, labels=[number(t) for t, _ in points], written=True)
        drawn.append(figure("FID against Inception Score", charts.lines([line], "is", "fid"), "by truncation"))
    drawn += [_chart(name, points, "truncation") for name in _shown(points[-1][1])]
    return f'<h3>Over truncation</h3><div class="charts">{"".join(drawn)}</div>'


def _shown(record: Record) -> list[str]:
    return [name for name, v in record["values"].items() if v.get("better", "none") != "none"]


def _chart(name: str, records: Sequence[tuple[float, Record]], x: str) -> str:
    having = [(at, record["values"][name]) for at, record in records if name in record["values"]]
    points = [(at, v["value"]) for at, v in having if v["value"] is not None]
    band = [(at, v["low"], v["high"]) for at, v in having if v.get("low") is not None and v.get("high") is not None]
    reals = [v["real"] for _, v in having if v.get("real") is not None]
    level = ("real images", reals[-1]) if reals else None
    return figure(name, charts.lines([Series(name, points, band)], x, name, level), BETTER[having[-1][1]["better"]])


def _pictures(record: Record, folder: Path) -> str:
    found = [
        picture(folder / path, PICTURES.get(name, name)) for name, path in record["pictures"].items() if _inside(path)
    ]
    return f'<h3>Images</h3><div class="pictures">{"".join(found)}</div>' if any(found) else ""


def _inside(path: str) -> bool:
    return not Path(path).is_absolute() and ".." not in Path(path).parts


def _details(details: Mapping[str, Any], values: Mapping[str, Mapping[str, Any]]) -> str:
    drawn = []
    if spectrum := details.get("spectrum"):
        series = []
        for role, name in (("fake", "generated"), ("real", "real")):
            rows = list(zip(spectrum["frequency"], spectrum[role], spectrum.get(f"{role}_error") or [], strict=False))
            band = [(x, y - 1.96 * e, y + 1.96 * e) for x, y, e in rows if None not in (y, e)]
            series.append(Series(name, list(zip(spectrum["frequency"], spectrum[role], strict=True)), band))
        drawn.append(figure("Radial spectrum", charts.lines(series, "cycles an image", "mean log power, dB")))
    if curve := (details.get("fid_infinity") or {}).get("curve"):
        points = [(1000 / row["samples"], row["fid"]) for row in curve]
        labels = [f"{counted(row['samples'], 'sample')}: {number(row['fid'])}" for row in curve]
        series = [Series("measured", points, labels=labels)]
        if (limit := (values.get("fid_infinity") or {}).get("value")) is not None:
            series.append(Series("extrapolated", [(0.0, limit)]))
        chart = charts.lines(series, "1,000 / samples", "fid")
        drawn.append(figure("FID over sample size", chart, "at 0: infinitely many samples"))
    html = f'<h3>Curves</h3><div class="charts">{"".join(drawn)}</div>' if drawn else ""
    return html + _inception_score(details.get("is") or {}) + _classes((details.get("per_class") or {}).get("classes"))


def _inception_score(details: Mapping[str, Any]) -> str:
    if not details.get("splits"):
        return ""
    rows = [
        [cell(str(splits)), cell(number(of["mean"])), cell(number(of["std"]))]
        for splits, of in details["splits"].items()
    ]
    html = "<h3>Inception Score by number of splits</h3>" + table(["splits", "mean", "deviation"], rows)
    if most := details.get("most_predicted"):
        cells = [[cell(str(row["class"])), cell(f"{100 * row['share']:.1f} %")] for row in most]
        html += "<h3>Classes that are predicted most</h3>" + table(["class", "share"], cells)
    return html


def _classes(classes: Sequence[Mapping[str, Any]] | None) -> str:
    if not classes:
        return ""
    columns = [c for c in ("fake", "real", "fid", "is", "recognised") if any(c in row for row in classes)]
    rows = [[cell(str(row["class"])), *(cell(number(row.get(c))) for c in columns)] for row in classes]
    heads = {"fake": "generated", "real": "real", "recognised": "recognised"}
    content = table(["class", *(heads.get(c, c) for c in columns)], rows)
    if len(rows) > LISTED:
        return f"<details><summary>{len(rows)} classes</summary>{content}</details>"
    return f"<h3>Classes</h3>{content}"


def _all_evaluations(group: Sequence[Record], latest: Record) -> str:
    """The newest first; of what was measured again with the same result, the newest only."""
    names = _shown(latest)[:6]
    rows: dict[tuple[str, ...], list[str]] = {}
    for record in reversed(group):
        found = [written(record["values"].get(name)) for name in names]
        what = _title(record) + _badge(record)
        row = [cell(what, html=True), *map(cell, found), cell(record["time"].replace("T", " "), text=True)]
        rows.setdefault((what, *found), row)
    if len(rows) < 2:
        return ""
    left_out = max(0, len(rows) - LISTED)
    note = f'<p class="muted">{left_out} older ones are in {scores.FILE}.</p>' if left_out else ""
    content = table(["evaluated", *names, "-at"], list(rows.values())[:LISTED])
    return f"<h3>Evaluations under this protocol</h3>{content}{note}"


def _title(record: Record) -> str:
    title = scores.title(record)
    return title[:1].upper() + title[1:]


def _badge(record: Record) -> str:
    if not record.get("selected_on"):
        return ""
    return ' <span class="badge" title="this very score chose the checkpoint">selected on</span>'


def _warnings(warnings: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in dict.fromkeys(warnings))
    return f'<ul class="warnings">{items}</ul>' if items else ""


def _in_words(protocol: Mapping[str, Any]) -> str:
    features, reference = protocol.get("features") or {}, protocol["reference"]
    real = reference.get("statistics") or counted(reference.get("count", 0), f"{reference.get('split')} image")
    words = [
        f"features {features['component']}" if "component" in features else "no features",
        f"{counted(protocol['samples'], 'sample')} against {real}",
        "averaged weights" if protocol.get("ema") else "raw weights",
        f"labels: {protocol.get('labels')}",
        f"seed {protocol.get('seed')}",
    ]
    accuracy = features.get("held_out_accuracy")
    if accuracy is not None:
        words.insert(1, f"classifier's held-out accuracy {100 * accuracy:.1f} %")
    return " · ".join(words)


def counted(count: int, what: str) -> str:
    """A number of things: ``1 sample``, ``2,000 samples``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def written(value: Mapping[str, Any] | None) -> str:
    """A score with the digits of its interval; empty if there is none."""
    if value is None or value.get("value") is None:
        return ""
    return number(value["value"], value.get("low"), value.get("high"))


def _interval(value: Mapping[str, Any]) -> str:
    return numbers.interval(value.get("low"), value.get("high")).replace("-", "−")


def cell(content: str, text: bool = False, html: bool = False) -> str:
    return f"<td{' class=text' if text else ''}>{content if html else escape(content)}</td>"
