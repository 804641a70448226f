"""The pages name what is there: paths, functions, the floors of the imports, and code that works."""

from __future__ import annotations

import ast
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ganlab.config import command_line, compose
from ganlab.runs.sweeps import plan
from ganlab.runs.sweeps import words as sweep_words
from ganlab.testing import check_loss

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
TOP = ("src", "tests", "docs", "conf", "examples", "benchmarks", ".ci", ".github")
page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def prose(page: Path) -> str:
    """A page without its blocks of code, whose lines may be wrapped."""
    return re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))


def quoted(page: Path) -> Iterator[str]:
    """Texts in backticks that look like a path of the repository."""
    for words in re.findall(r"`([^`]+)`", prose(page)):
        name = words.partition("::")[0]
        top = name.partition("/")[0]
        if (top in TOP and "/" in name) or (re.fullmatch(r"[\w.-]+", name) and name.endswith((".toml", ".md"))):
            yield words


@page
def test_every_path_on_a_page_exists(page: Path) -> None:
    for words in quoted(page):
        path = words.partition("::")[0]
        if "NAME" not in path:  # a place to fill in
            assert (ROOT / path).exists(), f"{page.name} names {path}"


@page
def test_every_link_on_a_page_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", prose(page)):
        if "://" not in link:
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def names(path: Path) -> set[str]:
    """Functions, classes, methods (``Class.method``) and constants of a module."""
    found = set()

    def collect(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.add(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    collect(node.body, f"{prefix}{node.name}.")
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            found.update(prefix + target.id for target in targets if isinstance(target, ast.Name))

    collect(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


@page
def test_every_function_on_a_page_exists(page: Path) -> None:
    for words in quoted(page):
        path, _, name = words.partition("::")
        if name:
            assert name in names(ROOT / path), f"{page.name} names {words}"


def test_the_picture_of_the_floors_is_the_import_contract() -> None:
    contract = re.search(r"(?s)^layers = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    picture = re.search(r"(?s)```floors\n(.*?)```", (DOCS / "architecture.md").read_text())
    assert contract
    assert picture
    floors = [line.replace("ganlab.", "").split(" | ") for line in re.findall(r'"(.*)"', contract[1])]
    drawn = [line.split() for line in picture[1].splitlines()]
    assert [line[1:] for line in drawn] == floors
    assert [line[0] for line in drawn] == [str(number) for number in range(len(floors), 0, -1)]


def lines_of_train() -> list[str]:
    """Return the options of ``ganlab train`` on all pages, without lines that need runs or files of the reader."""
    blocks = "".join(re.findall(r"(?ms)^```sh\n(.*?)^```", "\n".join(page.read_text() for page in PAGES)))
    found = re.findall(r"(?m)^ganlab train (.*)$", blocks.replace("\\\n", ""))
    theirs = ("RUN", "--help", "squared_hinge", "my_file.py")  # the third is the loss that CONTRIBUTING writes
    return sorted({line.partition(" #")[0].strip() for line in found if not any(word in line for word in theirs)})


@pytest.mark.parametrize("line", lines_of_train())
def test_every_training_on_a_page_can_be_started(line: str) -> None:
    words = command_line.split(line)
    if words[0] == "-m":
        plan.check(sweep_words.split(words[1:]))
    else:
        compose.read(words)


def python_on(page: str) -> list[str]:
    """The blocks of Python on a page that define something."""
    codes = re.findall(r"(?ms)^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"))
    return [code for code in codes if re.search(r"(?m)^(class|def) ", code)]


def module(name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the names that a file of this code would define; it can be imported by ``name``."""
    made = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, made)
    exec(code, vars(made))
    return vars(made)


def test_the_loss_of_the_readme_keeps_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = python_on("README.md")
    check_loss(module("my_package", code, monkeypatch)["MyLoss"]())


def test_the_loss_of_contributing_passes_the_tests_that_are_written_there(monkeypatch: pytest.MonkeyPatch) -> None:
    loss, tests = python_on("CONTRIBUTING.md")
    module("ganlab.losses.squared_hinge", loss, monkeypatch)
    written = module("test_squared_hinge", tests, monkeypatch)
    functions = [function for name, function in written.items() if name.startswith("test_")]
    assert len(functions) == 3
    for function in functions:
        function()


def test_every_page_is_found_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        links = re.findall(r"\]\(([^)#]+\.md)", page.read_text(encoding="utf-8"))
        found = {(page.parent / link).resolve() for link in links if "://" not in link}
        waiting += [path for path in found - reached if path.exists()]
        reached |= found
    assert set(DOCS.rglob("*.md")) <= reached
