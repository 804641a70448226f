"""The scores of a model card, each under its protocol, as the page of an evaluation has them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from ganlab.evaluation import scores
from ganlab.exporters import markdown
from ganlab.exporters.portable import Made
from ganlab.reports import page, words
from ganlab.reports.numbers import interval_on_page

Record = scores.Record


def lines(made: Made) -> Iterator[str]:
    """Yield the newest scores of what is exported, under each protocol: of the averaged weights of one checkpoint.

    Scores of other truncations than the export's are left out, unless there are no others.
    """
    records = [record for record in scores.read(made.run.folder) if _is_real(record) or _is_of(made, record)]
    fitting = [record for record in records if _is_real(record) or _fits(made, record)]
    groups = [group for group in page.by_protocol(fitting) if not all(map(_is_real, group))]
    if not groups:
        groups = [group for group in page.by_protocol(records) if not all(map(_is_real, group))]
    if not groups:
        yield "This checkpoint was not scored: `ganlab evaluate RUN` does it."
        return
    if len(groups) > 1:
        yield from ("Numbers of different protocols are not comparable.", "")
    for group in groups:
        yield from _under_protocol(made, group)


def _is_real(record: Record) -> bool:
    return bool(record["subject"]["kind"] == "real")


def _is_of(made: Made, record: Record) -> bool:
    subject = record["subject"]
    same = subject["kind"] == "run" and subject["iteration"] == made.run.iteration
    return same and record["protocol"].get("ema", True) is True


def _fits(made: Made, record: Record) -> bool:
    about = made.about
    drawn_alike = record["subject"].get("truncation") == about.truncation
    return drawn_alike and about.psi is None and about.standing_statistics is None


def _under_protocol(made: Made, group: Sequence[Record]) -> Iterator[str]:
    record = next(record for record in reversed(group) if not _is_real(record))
    protocol = record["protocol"]
    yield from (f"### Protocol {markdown.plain(protocol.get('name') or record['protocol_hash'])}", "")
    yield from (f"{markdown.plain(words.under(record))}. {markdown.plain(_of_what(made, record))}", "")
    for warning in dict.fromkeys(record.get("warnings") or []):
        yield f"- {markdown.plain(warning)}"
    yield ""
    real = page.held_out(group, record)
    judged = words.judged(record)
    yield from _table(record, judged, real)
    further = [name for name, value in record["values"].items() if value["value"] is not None and name not in judged]
    if further:
        yield from markdown.folded("Further numbers, without a better or worse", [*_table(record, further, real)])
    whole = json.dumps({**protocol, "hash": record["protocol_hash"]}, indent=2)
    yield from markdown.folded("The whole protocol", markdown.code("json", whole))


def _of_what(made: Made, record: Record) -> str:
    """Say of which images the numbers are, and what they cannot say."""
    truncation = record["subject"].get("truncation")
    sentences = [f"Of latents {'without truncation' if truncation is None else f'truncated at {truncation:g}'}."]
    if not _fits(made, record):
        sentences.append("The images of this export are drawn otherwise (see above), and have other scores.")
    if record.get("selected_on"):
        sentences.append("This very score chose the checkpoint, so it flatters it.")
    return " ".join(sentences)


def _table(record: Record, names: Sequence[str], real: Record | None) -> Iterator[str]:
    """Yield a table of scores, with those of real images where there are any."""
    values, of_real = record["values"], real["values"] if real is not None else {}
    columns = {
        "score": names,
        "value": [words.written(values[name]) for name in names],
        "95 % interval": [interval_on_page(values[name]["low"], values[name]["high"]) for name in names],
        f"held-out {words.things(record)}": [words.written(of_real.get(name)) for name in names],
        "reference's own": [words.written({**values[name], "value": values[name]["real"]}) for name in names],
        "note": [words.taken(values[name]) for name in names],
    }
    filled = {head: cells for head, cells in columns.items() if any(cells)}
    yield from markdown.table([*filled], [*zip(*filled.values(), strict=True)])
