"""Commands that write: on a disk of each size, under a limit of a file's size, and killed at each replacement.

What was there stays, or is replaced whole; a failure is one sentence.
"""

from __future__ import annotations

import ast
import os
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import killing, server
from support.disk import fill
from support.runs import TINY

import ganlab
from ganlab import cli
from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.exporters import output

SOURCE = Path(ganlab.__file__).parent
PAGE = os.sysconf("SC_PAGE_SIZE")
SMALL = [
    *(word for word in TINY if not word.startswith("model=")), "model=mlp", "generator.width=2",
    "generator.latent_dim=2", "discriminator.width=2", "trainer.max_steps=2", "checkpoint.keep=1",
    "sample.every_steps=2",
]  # fmt: skip
BOARD = "dynamics scoreboard losses=hinge regs=none problems=ring rates=1e-3 seeds=1 kimg=0.5 generator.width=2"
EVALUATE = "evaluate {0}/a metrics=[spectrum,ms_ssim] samples=60"

QUICK = {
    "weights": "export {0}/a out={0}/out/g.safetensors",
    "arrays": "sample {0}/a count=40 out={0}/out/g.npz",
    "pictures": "sample {0}/a count=3 out={0}/out/many/",
    "walk": "sample {0}/a kind=interpolation count=2 steps=3 out={0}/out/g.webp",
    "page": "page {0}/a",
    "watch": "watch {0}/a what=equilibrium",
}
SLOW = {
    "picture": "sample {0}/a count=4 out={0}/out/g.png",
    "lecture": "dynamics page out={0}/out/lecture.html",
    "program": "export {0}/a format=torch out={0}/out/g.pt2",
    "graph": "export {0}/a format=onnx out={0}/out/g.onnx",
    "hub": "export {0}/a format=hub out={0}/out/hub",
    "demo": "export {0}/a format=demo out={0}/out/demo",
    "comparison": "compare {0}/a {0}/b metric=spectrum out={0}/out/cmp",
    "evaluation": EVALUATE,
    "game": "dynamics loss=hinge iterations=100 out={0}/out/game.svg",
    "scoreboard": BOARD + " out={0}/out/board",
    "sweep": "train -m seed=0,1 run.dir={0}/out/sweep " + " ".join(SMALL),
}
ALL = {**QUICK, **SLOW}
# of a sweep see runs/sweeps/test_killed_sweep.py; others write by the same few functions
KILLED = ("weights", "arrays", "pictures", "page", "watch", "hub", "comparison", "evaluation", "scoreboard")
LONG = ("sweep", "graph", "game")  # seconds each


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small scored runs; not to be changed."""
    folder = tmp_path_factory.mktemp("written")
    for number, name in enumerate("ab"):
        assert cli.dispatch(["train", *SMALL, f"seed={number}", f"run.dir={folder / name}"]) == 0
        assert cli.dispatch(EVALUATE.replace("{0}/a", f"{folder}/{name}").split()) == 0
    return folder


@pytest.fixture
def runs(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> Path:
    """The runs that a command reads; not to be changed."""
    if name in SLOW:
        found: Path = request.getfixturevalue("scored")
        return found
    shutil.copytree(request.getfixturevalue("finished"), tmp_path / "runs" / "a")
    return tmp_path / "runs"


def words(name: str, folder: Path) -> list[str]:
    return [word.replace("{0}", str(folder)) for word in ALL[name].split(" ")]


def attempt(name: str, folder: Path) -> str:
    """Run a command; return the error that it ended with, or nothing."""
    try:
        return "" if cli.dispatch(words(name, folder)) == 0 else "failed"
    except GanlabError as error:
        return str(error)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def of_user(found: dict[str, bytes]) -> dict[str, bytes]:
    """Files of before that no command writes to."""
    return {name: held for name, held in found.items() if "checkpoints" in name or "config.yaml" in name}


@pytest.fixture
def limited() -> Iterator[Callable[[int], None]]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (before[1] if size < 0 else size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_a_limit_of_a_files_size_is_one_sentence_and_what_was_there_stays(
    name: str, runs: Path, tmp_path: Path, limited: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "work"
    shutil.copytree(runs, folder)
    kept, said = of_user(content(folder)), []
    for size in (0, 700, 3_000):
        limited(size)
        said.append(attempt(name, folder))
        limited(-1)
        assert not list(folder.rglob(".*.part")), size
        assert of_user(content(folder)).items() >= kept.items()
        assert "Traceback" not in capsys.readouterr().err
    assert said[0]
    # a sweep that has begun is gone on with
    known = ("File too large", "continue it with `ganlab resume", "failed")
    assert all(not sentence or any(words in sentence for words in known) for sentence in said), said


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ALL if name != "lecture"])  # which is larger than the disk
def test_a_disk_of_each_size_is_one_sentence_and_what_was_there_stays(
    name: str, runs: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first sizes page by page, then each thirty-first; PAGES=1 takes each."""
    folder, failed, pages = small_disk / "work", 0, 0
    step = int(os.environ.get("PAGES", "400" if name in LONG else "31"))
    while pages < 1000:
        shutil.copytree(runs, folder)
        kept = of_user(content(folder))
        fill(small_disk, pages * PAGE)
        said = attempt(name, folder)
        assert not list(folder.rglob(".*.part")), pages
        assert of_user(content(folder)).items() >= kept.items()
        err = capsys.readouterr().err
        assert "Traceback" not in err
        shutil.rmtree(folder)
        (small_disk / "ballast").unlink()
        if not said:
            break
        assert said == "failed" or "No space left on device" in said or "GB free: give" in said, (pages, said)
        failed, pages = failed + 1, pages + (1 if pages < 2 else step)
    assert failed
    assert not said


def _killed(command: list[str], moment: str, count: int) -> None:
    killing.MOMENTS[moment](count)
    cli.dispatch(command)


@pytest.mark.slow
@pytest.mark.parametrize("name", KILLED)
def test_a_kill_at_each_replacement_leaves_the_old_or_the_new_and_the_command_can_be_repeated(
    name: str, runs: Path, tmp_path: Path
) -> None:
    reference = tmp_path / "reference"
    shutil.copytree(runs, reference)
    assert not attempt(name, reference)
    expected = {path for path in content(reference) if "/evaluation/" not in path}  # those have a time in their names
    for moment in ("before any replacement", "after any replacement"):
        for count in range(1, 4):
            folder = tmp_path / f"{moment} {count}".replace(" ", "_")
            shutil.copytree(runs, folder)
            process: Any = server.context().Process(target=_killed, args=(words(name, folder), moment, count))
            process.start()
            process.join(120)
            assert process.exitcode in (0, -signal.SIGKILL)
            assert of_user(content(folder)).items() >= of_user(content(runs)).items()
            if process.exitcode == 0:
                break
            assert not attempt(name, folder)
            assert {path for path in content(folder) if not path.endswith(".part")} >= expected
            shutil.rmtree(folder)


def test_an_export_folder_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There was a moment without any folder between two renames."""
    target = tmp_path / "hub"
    target.mkdir()
    (target / "old").touch()
    monkeypatch.setattr("shutil.rmtree", lambda *a, **k: None)  # killed before the old one is removed
    if output._exchanged(tmp_path / "nothing", target):
        raise AssertionError
    with output.whole(target) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
        with monkeypatch.context() as patched:
            patched.setattr("os.replace", lambda *a: pytest.fail("the folder was away"))
            output._replace_folder(target, temporary)
        temporary.rename(tmp_path / "was")
        temporary.mkdir()
        (temporary / "newer").touch()
    assert [path.name for path in target.iterdir()] == ["newer"]
    assert [path.name for path in (tmp_path / "was").iterdir()] == ["old"]


WRITERS = {"exporters"}  # into a folder or beside a name that `exporters.output.whole` gives


def test_every_file_is_written_whole_or_not_at_all() -> None:
    """Nothing opens a file for writing but `core.files`, and those that write into what it has opened."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0]
        if room in WRITERS or path.name in ("files.py", "traceback_file.py"):
            continue
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "open(" in text or ".write_" in text else ():
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            modes = [a.value for a in [*node.args, *(k.value for k in node.keywords)] if isinstance(a, ast.Constant)]
            opens = called == "open" and owner not in ("archive", "files", "os", "zipfile")
            if (opens and any(isinstance(m, str) and set(m) & set("wax") and len(m) < 4 for m in modes)) or (
                called in ("write_text", "write_bytes") and owner != "files"
            ):
                found.append(f"{path.relative_to(SOURCE)}:{node.lineno} {ast.unparse(node)[:60]}")
    assert not found, "\n".join(found)


def test_torchs_errors_keep_their_errno(tmp_path: Path) -> None:
    import torch

    full = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    with pytest.raises(OSError, match="No space left"), full, files.for_torch(full) as target:
        torch.save({"w": torch.zeros(9)}, target)
