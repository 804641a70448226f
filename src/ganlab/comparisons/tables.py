"""An answer as a table: in the terminal, table.csv and table.md."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ganlab.comparisons import collapses
from ganlab.comparisons.answer import Answer, Column, Estimate, Row, size
from ganlab.core import files
from ganlab.reports.numbers import interval, number, probability
from ganlab.reports.words import BETTER

CSV, MARKDOWN = "table.csv", "table.md"


def terminal(answer: Answer) -> str:
    """Return the table of the first number, and the answer in words."""
    metric = answer.metrics[0]
    columns = [(metric.name, which) for which in answer.whiches]
    rows = _aligned(_kept([_heads(answer, columns), *(_cells(answer, row, columns) for row in answer.rows)]))
    about = f"Means over seeds with their intervals of 95 %; {BETTER[metric.better]}; {answer.protocol}."
    lines = [*rows, "", about, "", *answer.headline]
    lines += [f"{row.name}: {remark}" for row in answer.rows for remark in row.remarks]
    return "\n".join([*lines, *(f"note: {note}" for note in answer.notes)])


def markdown(answer: Answer) -> str:
    """Return the answer as Markdown: the first number as in the terminal, the others with a line each."""
    columns = [(answer.metrics[0].name, which) for which in answer.whiches]
    lines = [f"# {answer.title}", "", *_paragraphs(answer.headline)]
    lines += _table(_kept([_heads(answer, columns), *(_cells(answer, row, columns) for row in answer.rows)]))
    lines += ["", f"Means over seeds with their intervals of 95 %. {answer.protocol}.", ""]
    lines += _differences(answer, columns[0])
    others = [(metric.name, which) for metric in answer.metrics[1:] for which in answer.whiches]
    if others:
        heads = ["", *(row.name for row in answer.rows)]
        lines += [
            "",
            *_table([heads, *([" ".join(c), *_others(answer, c, columns[0])] for c in others)]),
        ]
    if answer.improvements:
        lines += ["", f"The probability that a run of {answer.rows[0].name} is better, over all numbers:", ""]
        lines += [
            f"- than one of {i.second}: {number(i.probability, i.low, i.high)} ({interval(i.low, i.high)})"
            for i in answer.improvements
        ]
    more = [f"{row.name}: {text}" for row in answer.rows for text in row.remarks]
    if notes := [*more, *answer.notes, *answer.further_notes]:
        lines += ["", *(f"- {text}" for text in notes)]
    return "\n".join(lines) + "\n"


def _differences(answer: Answer, column: Column) -> list[str]:
    """Return a table of the tested differences on a column."""
    tested = [d for d in answer.differences if (d.metric, d.which) == column and d.p is not None]
    if not tested:
        return []
    heads = ["the better one", "the other one", "difference", "95 %", "common seeds", "p, Holm", "seeds to tell it"]
    rows = [
        [d.first, d.second, size(d.mean, d.low, d.high), interval(d.low, d.high), str(d.seeds), probability(d.p_holm)]
        for d in tested
    ]
    return _table([heads, *([*row, d.enough] for row, d in zip(rows, tested, strict=True))])


def comma_separated(answer: Answer) -> str:
    """Return the answer as CSV: a line of names, and one for each configuration; numbers have all their digits."""
    columns = [(metric.name, which) for metric in answer.metrics for which in answer.whiches]
    heads = ["configuration", *answer.by, "runs", "failed", "collapsed", "iterations_to_collapse"]
    heads += [f"{_snake(column)}{end}" for column in columns for end in _ESTIMATE]
    heads += ["images_per_second", "seconds", "memory_mib"]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(heads)
    for row in answer.rows:
        collapsed = collapses.iterations(row.runs)
        cells = [row.name, *row.values.values(), len(row.runs), len(row.failures), len(collapsed)]
        cells.append(sum(collapsed) / len(collapsed) if collapsed else None)
        for column in columns:
            score = row.scores.get(column)
            cells += [None if score is None else getattr(score, name) for name in _ESTIMATE.values()]
        table.writerow([*cells, row.images_per_second, row.seconds, row.memory_mib])
    return text.getvalue()


def write(answer: Answer, folder: Path) -> list[Path]:
    """Write both files into a folder, which is made if need be; return their paths.

    Raises:
        GanlabError: If they cannot be written.
    """
    texts = {CSV: comma_separated(answer), MARKDOWN: markdown(answer)}
    for name, text in texts.items():
        files.write_text(folder / name, text)
    return [folder / name for name in texts]


_ESTIMATE = {
    "": "mean", "_low": "low", "_high": "high", "_deviation": "deviation", "_n": "n", "_iqm": "iqm",
    "_iqm_low": "iqm_low", "_iqm_high": "iqm_high",
}  # fmt: skip


def _heads(answer: Answer, columns: Sequence[Column]) -> list[str]:
    keys = [] if answer.study is None else [_short(key, answer.by) for key in answer.by]
    after = ["IQM", "n", "images/s", "seconds", "MiB", "failed", "collapsed"]
    return ["", *keys, *(" ".join(column) for column in columns), *after]


def _cells(answer: Answer, row: Row, columns: Sequence[Column]) -> list[str]:
    first = row.scores.get(columns[0])
    ready = [number(row.images_per_second), _whole(row.seconds), _whole(row.memory_mib)]
    scores = [_score(row.scores.get(column), first) for column in columns]
    ended = [str(len(row.failures)), collapses.summary(row.runs) or "0"]
    options = [] if answer.study is None else row.values.values()  # a trial's name does not say them
    return [row.name, *options, *scores, _middle(first), str(first.n if first else 0), *ready, *ended]


def _score(score: Estimate | None, first: Estimate | None) -> str:
    """Return a score with its interval; with its number of runs if it is not that of the first column."""
    if score is None:
        return "-"
    ends = interval(score.low, score.high, ", ")
    runs = f" (n={score.n})" if first is not None and score.n != first.n else ""
    return number(score.mean, score.low, score.high) + (f" [{ends}]" if ends else "") + runs


def _short(key: str, keys: Sequence[str]) -> str:
    """Return the last parts of a key that no other one ends with."""
    parts = key.split(".")
    ends = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
    return next((end for end in ends if sum(f".{other}".endswith(f".{end}") for other in keys) == 1), key)


def _others(answer: Answer, column: Column, first: Column) -> list[str]:
    return [_score(row.scores.get(column), row.scores.get(first)) for row in answer.rows]


def _middle(score: Estimate | None) -> str:
    """Return the interquartile mean of the first column."""
    return "-" if score is None or score.iqm is None else number(score.iqm, score.iqm_low, score.iqm_high)


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _snake(column: Column) -> str:
    return "_".join(column).replace(" ", "_")


def _kept(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return rows without the columns that have a number in none of them."""
    kept = [i for i in range(len(rows[0])) if i == 0 or any(row[i] not in ("-", "0") for row in rows[1:])]
    return [[row[i] for i in kept] for row in rows]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines of columns, the first on the left."""
    width = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.rjust(width[i]) if i else c.ljust(width[0]) for i, c in enumerate(row)) for row in rows]
    return [line.rstrip() for line in lines]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    return [_line(rows[0]), _line(["---", *["---:"] * (len(rows[0]) - 1)]), *map(_line, rows[1:])]


def _paragraphs(sentences: Sequence[str]) -> list[str]:
    return [line for sentence in sentences for line in (sentence, "")]
