"""evaluation.html: the scores of evaluation.jsonl as a page."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganlab.contracts.figures import Chart, Table
from ganlab.core.errors import GanlabError
from ganlab.evaluation import figures, scores
from ganlab.reports import curves, pages, words
from ganlab.reports.headline import Headline, headline
from ganlab.reports.pages import Part, Picture
from ganlab.reports.run_facts import run_facts
from ganlab.reports.words import judged, things, written

FILE = "evaluation.html"
LISTED = 40  # evaluations of a protocol that are listed, the newest ones
_NAMES = 6  # scores in that list
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
    newest_first = by_protocol(records)
    return pages.save(
        folder / FILE,
        "evaluation.html",
        title=f"Evaluation of {folder.name}",
        headline=headline_of(newest_first[0]),
        sections=[_section(group, folder) for group in newest_first],
        run=run_facts(folder),
        listed=LISTED,
        file=scores.FILE,
    )


def by_protocol(records: Sequence[Record]) -> list[list[Record]]:
    """Return the records of each protocol, the last used protocol first."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record["protocol_hash"], []).append(record)
    return sorted(groups.values(), key=_of_generated, reverse=True)


def headline_of(group: Sequence[Record]) -> Headline | None:
    """Return the headline of the newest evaluation of a protocol; None where no score has a better and a worse."""
    latest = _latest(group)
    return headline(latest, held_out(group, latest), group)


def details(group: Sequence[Record]) -> Part:
    """Return the charts and tables that the newest evaluation of a protocol brought along."""
    shown = [figures.parsed(node) for nodes in _latest(group)["figures"].values() for node in nodes]
    charts = [figure for figure in shown if isinstance(figure, Chart)]
    tables = [figure for figure in shown if isinstance(figure, Table) and figure.rows]
    return Part("In detail", charts=charts, tables=tables)


def _of_generated(group: Sequence[Record]) -> tuple[bool, str]:
    """Return the order of protocols, the last used last; first those that only real images were scored under: where
    fewer images are held out than are generated, they have a protocol of their own."""
    generated = [record for record in group if record["subject"]["kind"] != "real"]
    return bool(generated), str((generated or group)[-1]["time"])


def _section(group: Sequence[Record], folder: Path) -> dict[str, Any]:
    """Return the section of one protocol, about its newest evaluation."""
    latest = _latest(group)
    real = held_out(group, latest)
    shown = [figures.parsed(node) for nodes in latest["figures"].values() for node in nodes]
    had = {name: value for name, value in latest["values"].items() if value["value"] is not None}
    first = judged(latest)
    return {
        "summary": words.under(latest),
        "things": things(latest),
        "whole_protocol": json.dumps(latest["protocol"], indent=2),
        "latest": latest,
        "held_out": real["values"] if real else {},
        "judged": {name: had[name] for name in first},
        "further": {name: value for name, value in had.items() if name not in first},
        "parts": [
            Part(things(latest).capitalize(), pictures=_pictures(latest, shown, folder)),
            curves.over_training(group, latest),
            curves.over_truncation(group),
            details(group),
        ],
        "names": first[:_NAMES],
        "evaluations": _different(group, first[:_NAMES]),
    }


def _latest(group: Sequence[Record]) -> Record:
    """Return the newest evaluation of a protocol. Where the newest ones are a sweep, whose curves are drawn, it is the
    newest of the same checkpoint without truncation, if there is one."""
    newest_first = [r for r in reversed(group) if r["subject"]["kind"] != "real"] or [group[-1]]
    of = newest_first[0]["subject"]
    same = [r for r in newest_first if r["subject"].get("iteration") == of.get("iteration")]
    together = itertools.takewhile(lambda r: r in same, newest_first)
    swept = len({r["subject"].get("truncation") for r in together} - {None}) > 1
    whole = [r for r in same if r["subject"].get("truncation") is None]
    return whole[0] if swept and whole else newest_first[0]


def held_out(group: Sequence[Record], latest: Record) -> Record | None:
    """Return the newest evaluation of real images that were scored like generated ones."""
    return next((r for r in reversed(group) if r["subject"]["kind"] == "real" and r is not latest), None)


def _pictures(record: Record, shown: Sequence[figures.Shown], folder: Path) -> list[Picture]:
    """Return the pictures that lie in the folder."""
    kind = "Real" if record["subject"]["kind"] == "real" else "Generated"
    captions = {"samples": f"{kind} {things(record)}"}
    named = [(path, captions.get(name, name), "unselected") for name, path in record["pictures"].items()]
    named += [(figure.path, figure.title, figure.note) for figure in shown if isinstance(figure, figures.Stored)]
    found = [pages.picture(folder / path, title, note) for path, title, note in named if _inside(path)]
    return [picture for picture in found if picture is not None]


def _inside(path: str) -> bool:
    return "\0" not in path and not Path(path).is_absolute() and ".." not in Path(path).parts


def _different(group: Sequence[Record], names: Sequence[str]) -> list[Record]:
    """Return the evaluations, the newest first; of those with the same result the newest only."""
    found: dict[tuple[Any, ...], Record] = {}
    for record in reversed(group):
        values = tuple(written(record["values"].get(name)) for name in names)
        found.setdefault((scores.title(record), record["selected_on"], values), record)
    return list(found.values())
