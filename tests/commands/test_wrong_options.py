"""Random wrong values for every option of every command: an answer, or one sentence."""

from __future__ import annotations

import random
import signal
import traceback
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.wrong import WRONG

from ganlab import cli
from ganlab.commands import COMMANDS
from ganlab.commands.command import load
from ganlab.config import sections
from ganlab.core.errors import GanlabError

# names of files and folders: those that are there, and those that no command may write to
NAMES = (".", "R", "images/1.png", "x.png", "/", "/dev/null", "R/config.yaml", "-", "--", "grid", "last", "latest")
SECONDS = 60  # of one line
LINES: dict[str, tuple[str, ...]] = {
    "train": ("train -m seed=0,1 run.dir=S data=folder data.path=/nowhere",),
    "resume": ("resume R",),
    "sample": ("sample R count=2", "sample R count=2 out=a.npz", "sample R count=2 steps=2 kind=interpolation"),
    "evaluate": (
        "evaluate R samples=20 metrics=[spectrum]",
        "evaluate images=images data=digits samples=10 metrics=[spectrum]",
    ),
    "watch": ("watch R what=spectra",),
    "page": ("page R",),
    "compare": ("compare R R",),
    "export": ("export R format=safetensors", "export R format=hub license=mit"),
    "import": ("import images/1.png",),
    "dynamics": ("dynamics loss=hinge iterations=100", "dynamics view=pits", "dynamics page"),
    "bench": ("bench data=folder data.path=/nowhere", "bench warmup=0 iterations=1 repeats=1 model=mlp"),
}
LEFT = {"page": ("every_seconds",)}  # waits on purpose; what is shared with runs is in test_wrong_values.py


def options(command: str) -> list[str]:
    own = [name for name in load(command).options() if name not in LEFT.get(command, ())]
    return [*own, *(f"sweep.{field.name}" for field in fields(sections.SweepOptions) if command == "train")]


def lines(count: int, seed: int) -> list[list[str]]:
    drawn = random.Random(seed)
    every = [(command, key) for command in LINES for key in options(command)]
    found: list[list[str]] = []
    while len(found) < count:
        for command, key in drawn.sample(every, len(every)):
            line = drawn.choice(LINES[command]).split(" ")
            found.append([*line, f"{key}={drawn.choice((*WRONG, *NAMES))}"])
    return found[:count]


def escaped(count: int, seed: int) -> list[str]:
    """The lines that ended with anything but an answer or a sentence."""
    found = []
    for words in lines(count, seed):
        signal.alarm(SECONDS)
        try:
            code = cli.dispatch(words)
            if code not in (0, 1, 3):
                found.append(f"{words}: exit code {code}")
        except GanlabError as error:
            if not str(error).rstrip().endswith((".", "?", "!")):
                found.append(f"{words}: no sentence: {error}")
        except SystemExit as error:
            found.append(f"{words}: sys.exit({error.code})")
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {str(error)[:100]} ({where.filename}:{where.lineno})"
            found.append(f"{[w[:60] for w in words]}: {what}")
        finally:
            signal.alarm(0)
    return found


class Hangs(Exception):
    pass


def _hangs(*arguments: Any) -> None:
    raise Hangs("it takes more than a minute")


@pytest.fixture(autouse=True)
def _here(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    copied.rename(tmp_path / "R")
    (tmp_path / "images").mkdir()
    for number in range(12):
        Image.new("L", (8, 8), 20 * number).save(tmp_path / "images" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGALRM, _hangs)
    yield
    signal.signal(signal.SIGALRM, before)


def test_every_command_with_options_is_tried() -> None:
    assert set(LINES) == {name for name in COMMANDS if load(name).options()}
    assert all(line.split()[0] == command for command, several in LINES.items() for line in several)


def test_wrong_options_are_one_sentence() -> None:
    problems = escaped(12, seed=1)
    assert not problems, "\n".join(problems)


@pytest.mark.slow
def test_300_wrong_options_are_one_sentence_each() -> None:
    problems = escaped(300, seed=2)
    assert not problems, "\n".join(problems)
