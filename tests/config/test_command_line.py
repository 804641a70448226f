"""Plain words of a shell are taken as they are typed, whatever Hydra's grammar makes of brackets and letters."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from ganlab.config import command_line
from ganlab.core.errors import GanlabError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("Fotos[1]/äöü", "a,b", "[1]", "o'neill (x=1)"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def values(word: str, names_file: bool = False) -> Any:
    found = command_line.read(word, names_file)
    if not found.is_sweep_override():
        return found.value()
    return [word.strip('"') for word in found.sweep_string_iterator()]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("Fotos[1]/äöü", "Fotos[1]/äöü"),  # there is such a folder
        ("Fotos[1]", "Fotos[1]"),
        ("~/Fotos[1]", "~/Fotos[1]"),
        ("o'neill (x=1)", "o'neill (x=1)"),
        ("./a,b", "./a,b"),  # Hydra reads two values
        ("a,b", ["a", "b"]),
        ("[1]/", "[1]/"),
        ("[1]", [1]),  # a list, of which most are meant
        ("./a,c", ["./a", "c"]),
        ("gone/äöü", "gone/äöü"),  # Hydra refuses the letters
        ("~/gone #2", "~/gone #2"),
        ("äöü,Fotos[1],x", ["äöü", "Fotos[1]", "x"]),
        ("1e-3", 0.001),
        ('"1"', "1"),
        ("null", None),
    ],
)
def test_a_value_is_read(folder: Path, value: str, read: Any) -> None:
    assert values(f"data.path={value}") == read


@pytest.mark.parametrize("value", ["Fotos[2]/äöü", "o'neill", "a=b", "{x", 'x"y', "C:\\[1]\\"])
def test_what_is_refused_names_the_line_to_type(folder: Path, value: str) -> None:
    with pytest.raises(GanlabError) as refused:
        command_line.read(f"data.path={value}")
    line = str(refused.value).partition("of its own: ")[2].removesuffix(".")
    (word,) = shlex.split(line)
    assert values(word) == value


def test_what_names_a_file_that_is_to_be_made_is_taken_as_it_is_typed(folder: Path) -> None:
    for value in ("grid[1].png", "a=1,b=2.png", "x,y.png", "[1,2]"):
        assert values(f"out={value}", names_file=True) == value
    assert values("checkpoint=100", names_file=True) == 100
    assert values('out="a b.png"', names_file=True) == "a b.png"


@pytest.mark.parametrize("word", ["äöü=1", "a b[=1", "~äöü"])
def test_a_key_that_none_can_be_is_said(word: str) -> None:
    with pytest.raises(GanlabError, match=r"is no option: .* cannot be a key"):
        command_line.read(word)
