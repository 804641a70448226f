"""evaluation.html: what evaluation.jsonl says, to look at; one file that opens from disk.

A run folder is data of somebody else's: whatever comes from it is escaped.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ganlab.core.errors import GanlabError
from ganlab.evaluation import scores
from ganlab.reports import curves, numbers
from ganlab.reports.charts import number
from ganlab.reports.headline import headline, written
from ganlab.reports.markup import cell, counted, folded, picture, pictures, save, table
from ganlab.reports.run_facts import run_facts

FILE = "evaluation.html"
LISTED = 40  # evaluations of a protocol that are listed, the newest ones
PICTURES = {
    "samples": "Generated images, unselected",
    "neighbours": "Samples (left) and their nearest training images; the nearest samples first",
}
Record = dict[str, Any]
Value = Mapping[str, Any]


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
    newest_first = sorted(groups.values(), key=_of_generated, reverse=True)
    note = "" if len(groups) == 1 else "<p>Scores of different protocols have sections of their own.</p>"
    newest, latest = newest_first[0], _latest(newest_first[0])
    body = headline(latest, _held_out(newest, latest), newest) + note
    body += "".join(section(group, folder) for group in newest_first) + run_facts(folder)
    return save(folder / FILE, f"Evaluation of {folder.name}", body)


def _of_generated(group: Sequence[Record]) -> tuple[bool, str]:
    """The order of protocols, the last used last; first those that only real images were scored under: where fewer
    images are held out than are generated, they have a protocol of their own."""
    generated = [record for record in group if record["subject"]["kind"] != "real"]
    return bool(generated), str((generated or group)[-1]["time"])


def section(group: Sequence[Record], folder: Path) -> str:
    """Write the section of one protocol, the newest evaluation first."""
    latest = _latest(group)
    held_out = _held_out(group, latest)
    protocol = latest["protocol"]
    parts = [
        f"<h2>Protocol {escape(str(protocol.get('name')))}</h2>",
        f'<p class="muted">{escape(_in_words(protocol))}</p>',
        f"<h3>{escape(_title(latest))}{_badge(latest)}</h3>",
        _warnings(latest["warnings"]),
        values_table(latest["values"], held_out["values"] if held_out else {}),
        curves.over_training(group, latest),
        curves.over_truncation(group),
        _pictures(latest, folder),
        _details(latest),
        _all_evaluations(group, latest),
        folded("The whole protocol", f"<pre>{escape(json.dumps(protocol, indent=2))}</pre>"),
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


def _held_out(group: Sequence[Record], latest: Record) -> Record | None:
    """Real images that were scored like generated ones, the newest."""
    return next((r for r in reversed(group) if r["subject"]["kind"] == "real" and r is not latest), None)


def values_table(values: Mapping[str, Value], held_out: Mapping[str, Value]) -> str:
    """Each number with its interval, that of held-out images scored alike, the reference's own, and what it says.

    A number that this evaluation does not have is left out; those of which neither less nor more is better are folded.
    """
    had = {name: value for name, value in values.items() if value.get("value") is not None}
    judged = {name: value for name, value in had.items() if value.get("better", "none") != "none"}
    further = {name: value for name, value in had.items() if name not in judged}
    html = _values(judged, held_out) if judged else ""
    if further:
        html += folded("Further numbers, without a better or worse", _values(further, held_out))
    return html


def _values(values: Mapping[str, Value], held_out: Mapping[str, Value]) -> str:
    columns: dict[str, Callable[[Value], str]] = {"95 % interval": _interval}
    if any(name in held_out for name in values):
        columns["held-out images"] = lambda v: written(held_out.get(v["name"]))
    if any(v.get("real") is not None for v in values.values()):
        columns["reference's own"] = lambda v: written({**v, "value": v.get("real")})
    rows = [
        [
            cell(name),
            cell(written(v)),
            *(cell(column({**v, "name": name}), label=head) for head, column in columns.items()),
            cell(_words(v), text=True),
        ]
        for name, v in values.items()
    ]
    return table(["score", "value", *columns, "-what it says"], rows, kind="scores")


def _words(value: Value) -> str:
    """Say what a number means, which way is better, and how it was taken."""
    more = "; ".join(filter(None, [curves.BETTER.get(value.get("better", "none"), ""), value.get("about", "")]))
    return " ".join(filter(None, [value.get("meaning", ""), f"{more[:1].upper()}{more[1:]}." if more else ""]))


def _interval(value: Value) -> str:
    return numbers.interval(value.get("low"), value.get("high")).replace("-", "−")


def _pictures(record: Record, folder: Path) -> str:
    captions = {**PICTURES, "samples": "Real images, unselected"} if record["subject"]["kind"] == "real" else PICTURES
    found = [
        picture(folder / path, captions.get(name, name)) for name, path in record["pictures"].items() if _inside(path)
    ]
    return pictures("Images", found)


def _inside(path: str) -> bool:
    return "\0" not in path and not Path(path).is_absolute() and ".." not in Path(path).parts


def _details(record: Record) -> str:
    details = record["details"]
    try:
        return (
            curves.details(details, record["values"])
            + _inception_score(details.get("is") or {})
            + _classes((details.get("per_class") or {}).get("classes"))
        )
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError):  # somebody has altered them
        return '<p class="muted">The details of this evaluation cannot be read.</p>'


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
        return folded(f"{len(rows)} classes", content)
    return f"<h3>Classes</h3>{content}"


def _all_evaluations(group: Sequence[Record], latest: Record) -> str:
    """The newest first; of what was measured again with the same result, the newest only."""
    names = curves.shown(latest)[:6]
    rows: dict[tuple[str, ...], list[str]] = {}
    for record in reversed(group):
        found = [written(record["values"].get(name)) for name in names]
        what = escape(_title(record)) + _badge(record)
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
    if isinstance(accuracy, float):
        words.insert(1, f"classifier's held-out accuracy {100 * accuracy:.1f} %")
    return " · ".join(words)
