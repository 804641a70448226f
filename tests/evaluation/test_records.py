"""A line of evaluation.jsonl that somebody has altered is one sentence."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.records import record

from ganlab.core.errors import GanlabError
from ganlab.evaluation import scores
from ganlab.evaluation.records import problem
from ganlab.reports import page


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


def test_no_altered_line_breaks_the_page(tmp_path: Path) -> None:
    """Each leaf of a whole line in turn becomes something else: one sentence, or a page."""
    whole = record(100, details={
        "is": {"splits": {"1": {"mean": 9.1, "std": 0.0}}, "most_predicted": [{"class": "a", "share": 0.2}]},
        "spectrum": {"frequency": [0, 1], "fake": [3.0, 2.0], "real": [3.0, 2.5], "fake_error": [0.1, 0.1]},
        "fid_infinity": {"curve": [{"samples": 1000, "fid": 9.0}]},
        "per_class": {"classes": [{"class": "zero", "fake": 100, "real": 30, "fid": 7.25}]},
    }, pictures={"samples": "x.png"}, warnings=["a"])  # fmt: skip

    def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        if path:
            yield path
        inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, child in inner:
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
                pages += 1
            except GanlabError as error:
                refused += 1
                assert "line 1 is no evaluation" in str(error)
    assert pages > 100
    assert refused > 50
