"""A line of evaluation.jsonl that somebody has altered is one sentence."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support.records import record

from ganlab.contracts.figures import Chart, Grid, Line, Table
from ganlab.core.errors import GanlabError
from ganlab.evaluation import scores
from ganlab.evaluation.figures import plain
from ganlab.evaluation.records import problem
from ganlab.reports import charts, page, table


def test_what_ganlab_writes_is_a_record() -> None:
    assert problem(record(100)) is None
    assert problem(record(100, 0.5, subject={"kind": "real", "split": "test"})) is None
    assert problem(record(100, subject={"kind": "images", "path": "x"})) is None


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("values.fid.value", "many", "values.fid.value must be a number, got 'many'"),
        ("values.fid.low", True, "values.fid.low must be a number, got True"),
        ("values.fid.real", 10**400, "values.fid.real must be a number"),
        ("values.fid.about", 3, "values.fid.about must be a text"),
        ("values.fid", {"value": 1.0}, "values.fid.low must be a number"),
        ("values.fid", 3, "values.fid must be a mapping, got 3"),
        ("values", [], "values must be a mapping"),
        ("subject", None, "subject must be a mapping"),
        ("subject.kind", "film", "subject.kind must be one of run, real, images, got 'film'"),
        ("subject.kind", [], "subject.kind must be one of run, real, images"),
        ("subject.iteration", "<b>", "subject.iteration must be a whole number, got '<b>'"),
        ("subject.kimg", None, "subject.kimg must be a number"),
        ("subject.truncation", "0.5", "subject.truncation must be a number or null"),
        ("protocol.reference", None, "protocol must be a mapping with samples and reference"),
        ("protocol.samples", "all", "protocol must be a mapping with samples and reference"),
        ("pictures", {"samples": 3}, "pictures must be a mapping of names to paths"),
        ("warnings", "none", "warnings must be a list of texts"),
        ("figures", [], "figures must be a mapping of names to lists"),
        ("figures.m", [{"kind": "film"}], "figures.m[0] must be a chart, a table or a grid, got {'kind': 'film'}"),
        (
            "figures.m",
            [{"kind": "table", "heads": ["a"], "rows": [[]]}],
            "figures.m[0].rows must be lists of 1",
        ),
        ("figures.m", [{"kind": "chart", "lines": [{"points": [[1, "2"]]}]}], "figures.m[0].points must hold numbers"),
        ("time", 12, "time must be a text"),
        ("selected_on", "no", "selected_on must be true or false"),
    ],
)
def test_a_line_of_another_form_is_refused_by_its_number_and_place(
    tmp_path: Path, path: str, value: Any, words: str
) -> None:
    scores.append(tmp_path, record(100))
    one: Any = copy.deepcopy(record(200))
    *parents, last = path.split(".")
    node = one
    for parent in parents:
        node = node[parent]
    node[last] = value
    with (tmp_path / scores.FILE).open("a") as file:
        file.write(json.dumps(one) + "\n")
    with pytest.raises(GanlabError, match=r"evaluation\.jsonl: line 2 is no evaluation: ") as caught:
        scores.read(tmp_path)
    assert words in str(caught.value)


LEAVES = ["a word", -1, 1e308, True, None, [], {}, [[]], {"a": "b"}]


def test_no_altered_line_breaks_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each leaf of a whole line in turn becomes something else: one sentence, or a page and a table."""
    line = Line("a", [(0, 1.0), (1, 2.0)], [(0, 0.5, 1.5), (1, 1.5, 2.5)], ["x", "y"], True)
    chart, rows = Chart("a", "x", "y", [line], "n", ("level", 1.0)), Table("t", ["a", "b"], [["c", 2.0]], "n")
    figures = {"m": [plain(chart), plain(rows), plain(Grid("g", torch.zeros(1), 1), "y.png")]}
    whole = record(100, details={"m": [1]}, figures=figures, pictures={"samples": "x.png"}, warnings=["a"])
    whole = json.loads(json.dumps(whole))
    drawn: dict[str, str] = {}  # a chart is drawn once, however many pages show it
    draw = charts.svg

    def once(chart: Chart) -> str:
        key = repr(chart)
        if key not in drawn:
            drawn[key] = draw(chart)
        return drawn[key]

    monkeypatch.setattr(charts, "svg", once)

    def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        if path:
            yield path
        inner = dict(enumerate(node)) if isinstance(node, list) else node
        for key, child in inner.items() if isinstance(inner, dict) else ():
            yield from leaves(child, (*path, key))

    file, pages, refused = tmp_path / scores.FILE, 0, 0
    for number, path in enumerate(leaves(whole)):
        for offset in range(3):
            altered: Any = copy.deepcopy(whole)
            node = altered
            for key in path[:-1]:
                node = node[key]
            node[path[-1]] = LEAVES[(number + 3 * offset) % len(LEAVES)]
            file.write_text(json.dumps(altered) + "\n" + json.dumps(record(90)) + "\n")
            try:
                page.write(tmp_path)
                table.table(scores.read(tmp_path))
                pages += 1
            except GanlabError as error:
                refused += 1
                assert "line 1 is no evaluation" in str(error)
    assert pages > 60
    assert refused > 100
