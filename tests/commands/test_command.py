"""Commands as dataclasses: parsing, help, errors and completion."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from ganlab import importers
from ganlab.commands import COMMANDS, complete
from ganlab.commands.command import AS_TYPED, PATH, RUN, Command, Flag, Only, Passed, choices, load
from ganlab.core.errors import GanlabError
from ganlab.core.ranges import at_least
from ganlab.pictures import kinds


@dataclass
class Draw(Command):
    """Draw something.

    Args:
        shape: what is drawn
        sides: how many
        marks: where
        out: a file
        about: any text: as it is
        data: whose colours
        fast: leave details out

    More at the end.
    """

    run_folder: Annotated[str, RUN]
    shape: Literal["square", "circle"] = "square"
    sides: Annotated[int | None, at_least(3), Only("shape", ("square",))] = None
    marks: list[float] | None = None
    out: Annotated[str | None, PATH] = None
    about: Annotated[str, AS_TYPED] = ""
    data: Annotated[Sequence[str], Passed(("data", "data.*"), "data.OPTION=")] = ()
    fast: Annotated[bool, Flag(("-f", "--fast"))] = False

    def __call__(self) -> int:
        print(vars(self))
        return 7


def test_words_options_and_flags_become_fields(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["here", "--shape=square", "sides=4", "marks=[1,2]", "-f", "about=a:b=c[", "data=zip", "data.path=x"]
    assert Draw.run(words) == 7
    assert capsys.readouterr().out == (
        "{'run_folder': 'here', 'shape': 'square', 'sides': 4, 'marks': [1.0, 2.0], 'out': None, 'about': 'a:b=c[', "
        "'data': ['data=zip', 'data.path=x'], 'fast': True}\n"
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("", "`ganlab test_command` takes one run folder, got 0: ganlab test_command RUN [key=value ...] [-f]."),
        ("a b", "takes one run folder, got 2"),
        (
            "a shpae=x",
            "`ganlab test_command` has no option 'shpae'. Did you mean 'shape'? Options: shape, sides, marks,",
        ),
        ("a loss=x", "Options: shape, sides, marks, out, about, and data.OPTION=."),
        ("a shape=squar", "shape must be one of square, circle, got 'squar'; did you mean 'square'."),
        ("a sides=2", "sides must be at least 3, got 2."),
        ("a sides=3,4", "sides=3,4 has several values: one is wanted."),
        ("a marks=3,4", "marks=3,4 has several values: a list is written marks=[A,B]."),
        ("a data.path=x,y", "data.path=x,y has several values: one is wanted."),
        ("a shape=circle sides=4", "sides goes with shape=square, not with shape=circle."),
        ("a --fats", "`ganlab test_command` has no flag --fats. Did you mean '--fast'? Flags: -f, --fast."),
    ],
)
def test_mistakes_are_one_sentence(line: str, sentence: str) -> None:
    with pytest.raises(GanlabError) as caught:
        Draw.run(line.split())
    assert sentence in str(caught.value)


def test_the_page_has_every_option_with_its_default_and_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert Draw.run(["--help"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ganlab test_command RUN [key=value ...] [-f]",
        "",
        "Draw something.",
        "",
        "  shape=square  what is drawn",
        "  sides=null    how many (shape=square)",
        "  marks=null    where",
        "  out=null      a file",
        "  about=''      any text: as it is",
        "  data.OPTION=  whose colours",
        "  -f, --fast    leave details out",
        "",
        "More at the end.",
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_commands_page_names_its_options_in_100_columns(name: str) -> None:
    command = load(name)
    page = Command.help.__func__(command, [])  # type: ignore[attr-defined]  # of train: without all groups
    assert page.startswith(f"ganlab {name}")
    assert max(map(len, page.splitlines())) <= 100
    assert not [option for option in command.options() if f"\n  {option}=" not in page]


def test_help_has_the_options_of_all_formats_and_all_kinds_of_pictures() -> None:
    """Formats and kinds of pictures import torch, which a page of help must not."""
    of_formats = {n: d for module in importers.formats().values() for n, d in importers.options(module)}
    imported = load("import")
    assert {
        name: imported.defaults()[name] for name in imported.marked(sys.modules[imported.__module__].OF_FORMAT)
    } == (of_formats)
    assert choices(load("sample").annotations()["kind"]) == list(kinds.MAKERS)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("sample", "kind=m"), ["kind=mixing"]),
        (("sample", "path=s"), ["path=spherical"]),
        (("sample", "out=tests/comm"), ["out=tests/commands/"]),
        (("evaluate", "real="), ["real=true", "real=false"]),
        (("evaluate", "data"), ["data="]),
        (("evaluate", "loss"), []),
        (("bench", "kim"), ["kimg="]),
        (("bench", "compare=p"), ["compare=plain"]),
        (("bench", "loss"), ["loss=", "loss.margin="]),
        (("import", "trunc"), ["truncation="]),
        (("resume", "sn", "loss"), ["loss.margin="]),
        (("train", "-"), ["-m", "--multirun", "--cfg", "--help"]),
    ],
)
def test_options_are_completed(words: tuple[str, ...], found: list[str], request: pytest.FixtureRequest) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(request.config.rootpath)
        completed = [c for c in complete.candidates(words) if c.startswith(words[-1]) and not c.startswith("data.")]
    assert completed == found


def test_a_default_that_is_typed_goes_with_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert Draw.run(["a", "shape=circle", "sides=null"]) == 7
    assert "'sides': None" in capsys.readouterr().out
