"""How the repository is laid out: what a stranger may rely on when looking for a test."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import ganlab

TESTS = Path(__file__).parent
SOURCE = Path(ganlab.__file__).parent
ELSEWHERE = {"support", "fixtures", "examples"}  # folders of tests/ that are no room of src/ganlab


def test_no_two_test_files_have_one_name() -> None:
    """pytest imports test modules by their bare names, so a second file of a name breaks the whole suite."""
    names = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_the_folders_of_tests_are_the_rooms_of_the_source() -> None:
    folders = {path.name for path in TESTS.iterdir() if path.is_dir() and path.name != "__pycache__"}
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir()}
    assert folders - ELSEWHERE <= rooms


def test_no_test_module_imports_another_one() -> None:
    lines = [
        f"{path.name}: {line}"
        for path in TESTS.rglob("*.py")
        for line in path.read_text().splitlines()
        if line.strip().startswith(("from test_", "import test_", "from conftest"))
    ]
    assert lines == []
