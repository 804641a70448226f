"""No process of ganlab's imports Python files of the current folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.runs import TINY, state

import ganlab

FILE = str(Path(ganlab.__file__).with_name("__main__.py"))
SCRIPT = str(Path(sys.executable).with_name("ganlab"))
WAYS = {"script": [SCRIPT], "file": [sys.executable, FILE], "module": [sys.executable, "-m", "ganlab"]}
# with -m Python itself imports some modules before it comes to ganlab's first line
TRAPS = ("random", "difflib", "torch", "lightning", "hydra", "omegaconf", "numpy", "yaml", "filelock", "tempfile")
EARLY = ("runpy", "pkgutil", "ganlab", "importlib")


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    """A folder whose modules say that they were imported."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in (*TRAPS, *EARLY):
        (folder / f"{name}.py").write_text("import os\nos.mkdir(__name__ + ' ran')\nraise SystemExit(77)\n")
    return folder


def ran(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(" ran"))


def environment() -> dict[str, str]:
    """Without what protects processes from Python 3.11 on: in 3.10 it has no effect."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}


@pytest.mark.parametrize("way", WAYS)
def test_a_command_imports_nothing_of_the_current_folder(trapped: Path, way: str) -> None:
    for name in EARLY if way == "module" else ():
        (trapped / f"{name}.py").unlink()
    words = [*WAYS[way], "train", "--cfg", "job"]
    timed = {**environment(), "PYTHONPROFILEIMPORTTIME": "1"}  # writes a line for each import
    done = subprocess.run(words, cwd=trapped, env=timed, capture_output=True, text=True, timeout=60)
    assert (done.returncode, ran(trapped)) == (0, []), done.stderr
    assert "component: hinge" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "torch" in imported
    assert "lightning" not in imported  # twice as slow to import as torch, and needed by what trains only


@pytest.mark.slow  # a process that trains
def test_jobs_of_a_sweep_import_nothing_of_the_current_folder(trapped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started as the sweep starts them; the sweep's own process would protect them from Python 3.11 on."""
    from ganlab.config import compose
    from ganlab.runs import run_folder
    from ganlab.runs.sweeps import job

    monkeypatch.chdir(trapped)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    run_folder.write_config(trapped / "job", compose.read([*TINY, "trainer.max_steps=1"]))
    process = job.start(trapped / "job", "train", (), subprocess.DEVNULL, {})
    with process:
        assert process.wait(timeout=120) == 0  # while its pipe is open: a job ends when its sweep does
    assert ran(trapped) == []
    assert state(trapped / "job")["ganlab"]["progress"]["iteration"] == 1


def test_what_others_start_below_a_command_is_protected_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from ganlab import cli

    monkeypatch.setenv("PYTHONSAFEPATH", "")
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert os.environ["PYTHONSAFEPATH"] == "1"


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_ranks_import_nothing_of_the_current_folder(trapped: Path, way: str) -> None:
    for name in EARLY if way == "module" else ():
        (trapped / f"{name}.py").unlink()
    words = [*WAYS[way], "train", *TINY, "trainer.max_steps=2", "trainer.devices=2", "run.dir=run"]
    done = subprocess.run(words, cwd=trapped, env=environment(), capture_output=True, text=True, timeout=120)
    assert (done.returncode, ran(trapped)) == (0, []), done.stderr
    assert state(trapped / "run")["ganlab"]["progress"]["iteration"] == 2
