"""Tables of options, made by importing each component once in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.distributions import install

from ganlab.config import catalog, compose, help_pages, option_table
from ganlab.config.schema import REQUIRED
from ganlab.core import cache, kinds, registry
from ganlab.core.errors import GanlabError

COMPONENTS = [(kind, name) for kind in kinds.KINDS for name in registry.names(kind)]

LOSSES = '''
"""Losses without torch."""
import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from ganlab.core.ranges import at_least

print("a component may print")


class Shape(enum.Enum):
    ROUND = "round"


@dataclass
class Base:
    """The base's words.

    Over several lines.

    Args:
        first: One,
            over two lines.
        count, second: Both.
    """

    first: int
    count: Annotated[int, at_least(1)] = 2
    second: float = 2.0 * 1.75
    third: list[int] = field(default_factory=lambda: [4])
    fourth: "tuple[int, ...]" = (1, 2)
    fifth: Shape = Shape.ROUND
    sixth: Literal["a", "b"] | None = None
    path: Path | None = Path("x")
    hidden: int = field(default=1, init=False)
    everywhere: ClassVar[int] = 3


class Inherits(Base):
    pass


class Exits:
    """Never seen."""
'''


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_every_option_of_ganlabs_own_is_explained(kind: str, name: str) -> None:
    found = option_table.read(kind, name)
    assert found.summary
    assert [option.name for option in found.options if not option.about] == []


def test_a_table_says_what_the_live_component_says() -> None:
    for kind, name in COMPONENTS:
        assert option_table.read(kind, name) == option_table.live(kind, name)


def test_options_are_read_however_they_are_written(site: Path) -> None:
    install(site, "odd", {"odd_losses.py": LOSSES}, "[ganlab.losses]\nodd = odd_losses:Inherits\n")
    found = option_table.read("loss", "odd")
    assert "odd_losses" not in sys.modules
    assert found.doc.startswith("The base's words.")
    assert [(o.name, o.annotation, o.default) for o in found.options] == [
        ("first", "int", REQUIRED),
        ("count", "int, at least 1", 2),
        ("second", "float", 3.5),
        ("third", "list[int]", [4]),
        ("fourth", "tuple[int, ...]", [1, 2]),
        ("fifth", "Shape", "round"),
        ("sixth", "Literal['a', 'b'] | None", None),
        ("path", "Path | None", "x"),
    ]
    assert [o.about for o in found.options[:3]] == ["One, over two lines.", "Both.", "Both."]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise RuntimeError('no\\nGPU here')", "RuntimeError: no GPU here"),
        ("import sys; sys.exit(7)", "SystemExit: 7"),
        ("import os; os._exit(9)", "it ends Python with exit code 9"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "it ends Python with signal 11"),
        ("import time; time.sleep(600)", "it takes longer than 5 s"),
    ],
)
def test_a_component_that_cannot_be_imported_is_listed_with_its_reason_and_the_rest_goes_on(
    body: str, reason: str, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(option_table, "PATIENCE_SECONDS", 5.0 if "sleep" in body else 60.0)
    files = {"breaks.py": body, "works.py": LOSSES}
    install(site, "half", files, "[ganlab.losses]\na_broken = breaks:Loss\nb_works = works:Base\n")
    lines = {line.split()[0]: line for line in help_pages.summary_lines(catalog.choices("loss"))}
    assert "The base's words." in lines["b_works"]
    assert reason in option_table.read("loss", "a_broken").problem
    assert "cannot be imported" in lines["a_broken"]
    assert "Hinge adversarial loss." in lines["hinge"]


@pytest.mark.slow  # three commands, each with a process that ends
def test_a_preset_of_a_component_that_ends_python_is_listed_with_the_reason(site: Path, tmp_path: Path) -> None:
    """It was imported in a process of its own, and is not imported where it would end the command, even if there are
    other packages since."""
    install(site, "half", {"breaks.py": "import os; os._exit(9)"}, "[ganlab.losses]\na_broken = breaks:Loss\n")
    (tmp_path / "conf/loss").mkdir(parents=True)
    (tmp_path / "conf/loss/mine.yaml").write_text("# @package _global_\ndefaults:\n  - a_broken@loss\n")
    (tmp_path / "others").mkdir()
    # a cache of its own: tests of other workers write the common one, and the last writer's rows are those that stay
    shutil.copytree(cache.cache_folder() / "options", tmp_path / "cache/options")

    def ganlab(*words: str, paths: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": paths, "GANLAB_CACHE": str(tmp_path / "cache")}
        command = [sys.executable, "-m", "ganlab", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=tmp_path)

    done = ganlab("list", "loss", paths=str(site))
    (line,) = [line for line in done.stdout.splitlines() if line.split()[:1] == ["mine"]]
    assert "It cannot be read: The adversarial loss 'a_broken'" in line
    for paths in (str(site), f"{site}{os.pathsep}{tmp_path / 'others'}"):
        done = ganlab("train", "loss=mine", "--cfg", "job", paths=paths)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert "it ends Python with exit code 9" in done.stderr


def test_a_broken_component_is_tried_again_when_packages_were_installed(site: Path) -> None:
    install(
        site, "needy", {"needy.py": "import supplied\nclass Loss:\n    pass\n"}, "[ganlab.losses]\nn = needy:Loss\n"
    )
    assert "No module named 'supplied'" in option_table.read("loss", "n").problem
    with pytest.raises(GanlabError, match="No module named 'supplied'"):
        compose.read(["loss=n"])
    (site / "supplied.py").write_text("")
    registry.forget()
    assert option_table.read("loss", "n").problem == ""


def test_a_plug_in_that_is_edited_in_place_is_seen(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the next process: this one has imported nothing of it."""
    text = "class Loss:\n    def __init__(self, margin: float = 1.0) -> None: ...\n"
    install(
        site,
        "edited",
        {"edited/__init__.py": "", "edited/deep/loss.py": text},
        "[ganlab.losses]\ned = edited.deep.loss:Loss\n",
    )
    assert option_table.read("loss", "ed").node == {"margin": 1.0}
    (site / "edited/deep/loss.py").write_text(text.replace("1.0", "2.5"))
    environment = {**os.environ, "PYTHONPATH": str(site)}
    words = [sys.executable, "-m", "ganlab", "train", "--help", "loss"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert "margin=2.5" in next(line for line in done.stdout.splitlines() if line.split()[:1] == ["ed"])
    assert done.stderr == "ganlab: reading the options of 1 component once (edited).\n"


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of components that were to be imported, each time; none is, since all together take long."""
    found: list[int] = []

    def scanned(wanted: list[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], option_table.Described]]:
        found.append(len(wanted))
        return ((pair, option_table.Described(doc="Found.")) for pair in wanted)

    monkeypatch.setattr(option_table, "_scanned", scanned)
    return found


@pytest.mark.parametrize("damage", [b"", b"{", b"0 0\n[]", b"[]", b"\xff\xfe\n"])
def test_a_damaged_file_is_made_again(
    damage: bytes, site: Path, scans: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANLAB_CACHE", str(site / "cache"))
    registry.forget()
    file = option_table._rows().file
    for expected in (1, 1, 2, 2):
        if expected == 2 and len(scans) == 1:
            file.write_bytes(damage or file.read_bytes()[:-3])
        registry.forget()
        assert option_table.read("loss", "hinge").summary == "Found."
        assert len(scans) == expected


@pytest.mark.usefixtures("scans")
def test_without_a_folder_that_can_be_written_all_works(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "file").write_text("")
    monkeypatch.setenv("GANLAB_CACHE", str(site / "file"))
    registry.forget()
    assert compose.composed(["loss=hinge", "loss.margin=2"])["loss"] == {"component": "hinge", "margin": 2}
    assert option_table.read("loss", "hinge").summary == "Found."


def test_a_table_is_made_without_the_current_folder(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(site, "plain", {"plain_losses.py": LOSSES}, "[ganlab.losses]\nplain = plain_losses:Base\n")
    here = site / "project"
    here.mkdir()
    for name in ("json", "enum", "dataclasses", "schema", "registry", "random"):
        (here / f"{name}.py").write_text("import os\nos.mkdir(__name__ + ' ran')\n")
    monkeypatch.chdir(here)
    assert option_table.read("loss", "plain").summary == "The base's words."
    assert [path.name for path in here.iterdir() if path.name.endswith(" ran")] == []


def test_options_of_lightnings_trainer_are_known_but_for_those_that_ganlab_decides() -> None:
    options = {option.name for option in option_table.read(*option_table.TRAINER).options}
    assert {"precision", "max_steps"} <= options
    assert not {"strategy", "callbacks", "logger"} & options
