"""Rules of the repository: names of files, their length, and the style of code and docstrings."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
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
        f"{path} {node.name}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= MOST_LINES_OF_A_FUNCTION
    }
    assert found == set()


def test_code_outside_the_components_names_none_of_them() -> None:
    every_run = {name for kind in KINDS.values() for name in kind.always}  # declared with the kind
    known = {name for kind in KINDS for name in registry.names(kind)} - ORDINARY - every_run
    found = {
        f"{path} {node.value}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in known
        if not str(path).startswith(WITH_NAMES)
    }
    assert found - NAMED == set()


def trees(*rooms: Path) -> Iterator[tuple[Path, ast.Module]]:
    """Yield the files of the source, or of ``rooms``, each with its path from there."""
    for room in rooms or (SOURCE,):
        for path in room.rglob("*.py"):
            yield path.relative_to(room), ast.parse(path.read_text())


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
    nested = [
        f"{path.name}: line {node.lineno}"
        for path, tree in trees(SOURCE, TESTS)
        for node in ast.walk(tree)
        if isinstance(node, ast.IfExp) and sum(isinstance(part, ast.IfExp) for part in ast.walk(node)) > 1
    ]
    assert nested == []


def test_docstrings_begin_with_a_verb_or_a_name() -> None:
    questions = ("How", "What", "When", "Where", "Whether", "Which", "Who", "Whose", "Why")
    found = [
        f"{path.name}: {text.splitlines()[0]}"
        for path, tree in trees(SOURCE, TESTS)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (text := ast.get_docstring(node))
        if text.startswith(tuple(f"{word} " for word in questions))
    ]
    assert found == []
