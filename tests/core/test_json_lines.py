from __future__ import annotations

import math
from pathlib import Path

import pytest

from ganlab.core import files, json_lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Ten lines: numbers 0 to 7, one that a killed process tore, one that is no mapping."""
    path = tmp_path / "x.jsonl"
    for number in range(8):
        json_lines.append(path, {"number": number, "infinite": [math.inf]})
    files.append(path, b'{"number": 8, "infin\n')
    json_lines.append(path, [9])
    return path


def test_lines_have_their_numbers_and_torn_ones_are_passed_over(path: Path) -> None:
    lines = list(json_lines.read(path))
    assert lines[:2] == [(1, {"number": 0, "infinite": [None]}), (2, {"number": 1, "infinite": [None]})]
    assert lines[8:] == [(10, [9])]


@pytest.mark.parametrize(("most", "expected"), [(1, [10]), (4, [1, 4, 7, 10]), (10, [1, 2, 3, 4, 5, 6, 7, 8, 10])])
def test_a_long_file_is_read_evenly_with_its_last_line(path: Path, most: int, expected: list[int]) -> None:
    assert [number for number, _ in json_lines.read(path, most)] == expected


def test_mappings_that_are_not_wanted_or_were_altered_go(path: Path) -> None:
    json_lines.append(path, {"number": "4"})
    json_lines.append(path, {"other": 4})
    json_lines.keep(path, lambda row: bool(row["number"] <= 5))
    assert [row["number"] for _, row in json_lines.read(path)] == [0, 1, 2, 3, 4, 5]
