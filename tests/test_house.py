"""Rules of the repository: names of files, their length, and the style of code and docstrings."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import ganlab
from ganlab.core import registry
from ganlab.core.kinds import KINDS

TESTS = Path(__file__).parent
SOURCE = Path(ganlab.__file__).parent
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 350, 60
# rooms of components, and of what reads the files of certain networks
WITH_NAMES = (
    "augmentations", "data", "features", "games", "importers", "instruments", "losses", "metrics",
    "models", "regularizers", "growth.py", "optimizers.py", "priors.py", "runs/loggers", "reports/inception_demo.py",
)  # fmt: skip
ORDINARY = {
    "clip",
    "dropout",
    "folder",
    "gradients",
    "grid",
    "none",
    "normal",
    "points",
    "progress",
    "uniform",
}  # words with other meanings too
NAMED = {  # defaults of kinds; nothing may be added
    "core/kinds.py adam", "config/sections.py fid",
    "core/kinds.py digits", "core/kinds.py hinge", "core/kinds.py standard",
    *(f"core/kinds.py {callback}" for callback in ("grids", "recording", "saving", "scoring", "signals", "stopping")),
    "core/kinds.py watching",
}  # fmt: skip
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


def test_no_file_of_the_source_is_long() -> None:
    lines = {str(path.relative_to(SOURCE)): len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_no_function_of_the_source_is_long() -> None:
    found = {
        f"{file.path} {name}"
        for file in read(SOURCE)
        for name, lines in file.functions
        if lines > MOST_LINES_OF_A_FUNCTION
    }
    assert found == set()


def test_code_outside_the_components_names_none_of_them() -> None:
    every_run = {name for kind in KINDS.values() for name in kind.always}  # declared with the kind
    known = {name for kind in KINDS for name in registry.names(kind)} - ORDINARY - every_run
    found = {
        f"{file.path} {text}"
        for file in read(SOURCE)
        for text in file.strings & known
        if not str(file.path).startswith(WITH_NAMES)
    }
    assert found - NAMED == set()


@dataclass
class File:
    """Facts about a Python file, for which it is parsed once.

    Args:
        path: From its room.
        functions: Names and lines.
        strings: All texts.
        docstrings: Of the module, classes and functions.
        nested: Lines with a conditional inside another one.
    """

    path: Path
    functions: list[tuple[str, int]] = field(default_factory=list)
    strings: set[str] = field(default_factory=set)
    docstrings: list[str] = field(default_factory=list)
    nested: list[int] = field(default_factory=list)


@cache
def read(room: Path) -> list[File]:
    found = []
    for path in room.rglob("*.py"):
        found.append(file := File(path.relative_to(room)))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                file.strings.add(node.value)
            elif isinstance(node, ast.FunctionDef):
                file.functions.append((node.name, (node.end_lineno or 0) - node.lineno + 1))
            elif isinstance(node, ast.IfExp) and sum(isinstance(part, ast.IfExp) for part in ast.walk(node)) > 1:
                file.nested.append(node.lineno)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node)):
                file.docstrings.append(text)
    return found


def test_no_file_holds_the_marks_of_a_conflict() -> None:
    """In a docstring nothing else sees them."""
    marks = ("<" * 7 + " ", ">" * 7 + " ")
    files = [path for room in (SOURCE, TESTS) for path in room.rglob("*.py")]
    assert [
        path.name
        for path in files
        if path.read_text().startswith(marks) or any(f"\n{m}" in path.read_text() for m in marks)
    ] == []


def test_no_conditional_lies_inside_another_one() -> None:
    nested = [f"{file.path}: line {line}" for file in (*read(SOURCE), *read(TESTS)) for line in file.nested]
    assert nested == []


def test_docstrings_begin_with_a_verb_or_a_name() -> None:
    questions = ("How", "What", "When", "Where", "Whether", "Which", "Who", "Whose", "Why")
    found = [
        f"{file.path}: {text.splitlines()[0]}"
        for file in (*read(SOURCE), *read(TESTS))
        for text in file.docstrings
        if text.startswith(tuple(f"{word} " for word in questions))
    ]
    assert found == []
