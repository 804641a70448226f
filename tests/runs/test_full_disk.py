"""A full disk, or a limit of a file's size, at whatever moment: said in one sentence, and nothing good is lost."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from support.disk import fill
from support.runs import TINY, state

import ganlab
from ganlab import cli
from ganlab.core.errors import GanlabError
from ganlab.runs import checkpoints

PAGE = os.sysconf("SC_PAGE_SIZE")
LAST = Path("checkpoints/last.ckpt")
# points of a plane instead of pictures would be smaller still, but write no grid
RUN = [
    *TINY,
    "model=mlp",
    "generator.width=2",
    "discriminator.width=2",
    "generator.latent_dim=2",
    "checkpoint.every_steps=1",
    "checkpoint.keep=1",
    "trainer.max_steps=2",
    "sample.every_steps=1",
]


def words(*more: str) -> list[str]:
    return [word for word in RUN if not word.startswith("model=dcgan")] + list(more)


@pytest.fixture
def content() -> dict[str, Any]:
    chance = torch.Generator().manual_seed(0)
    weights = {f"w{i}": torch.randn(7, i * i + 1, generator=chance) for i in range(20)}
    return {"state_dict": weights, "numbers": list(range(500))}


def test_a_checkpoint_is_written_or_its_failure_known_at_every_size_of_the_disk(
    small_disk: Path, content: dict[str, Any]
) -> None:
    """torch says of some sizes only that a position is not the expected one, and has no errno for any."""
    io, path = checkpoints.AtomicCheckpointIO(), small_disk / "last.ckpt"
    outcomes = []
    for pages in range(40):
        fill(small_disk, pages * PAGE)
        io.save_checkpoint(content, path)
        outcomes.append(io.failure is None)
        if io.failure is None:
            assert torch.equal(torch.load(path)["state_dict"]["w19"], content["state_dict"]["w19"])
        else:
            assert io.failure.strerror == "No space left on device"
            assert os.listdir(small_disk) == ["ballast"]
        for name in os.listdir(small_disk):
            os.unlink(small_disk / name)
    assert outcomes == sorted(outcomes)
    assert 10 < sum(outcomes) < 35


def test_a_limit_of_a_files_size_is_a_failure_too(tmp_path: Path, content: dict[str, Any]) -> None:
    io, path = checkpoints.AtomicCheckpointIO(), tmp_path / "last.ckpt"
    path.write_text("the one before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for size in range(0, 60_000, 2_500):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
            io.save_checkpoint(content, path)
            assert io.failure is not None
            assert io.failure.strerror == "File too large"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == ["last.ckpt"]
    assert path.read_text() == "the one before"


NEEDED = 40  # pages of a run


@pytest.mark.parametrize(
    "every", [7, pytest.param(1, marks=pytest.mark.slow)], ids=["some sizes", "each size, page by page"]
)
def test_a_run_ends_well_or_says_what_is_lost_at_every_size_of_the_disk(
    small_disk: Path, capfd: pytest.CaptureFixture[str], every: int
) -> None:
    folder, codes = small_disk / "run", []
    for pages in range(0, NEEDED + every, every):
        fill(small_disk, pages * PAGE)
        try:
            codes.append(cli.dispatch(["train", *words(f"run.dir={folder}")]))
        except GanlabError as error:
            codes.append(2)
            assert "No space left on device" in str(error)
            assert not (folder / LAST).exists()
        err = capfd.readouterr().err
        assert "Traceback" not in err
        assert "RuntimeError" not in err
        if codes[-1] == 0:
            assert state(folder)["ganlab"]["progress"]["iteration"] == 2
        elif codes[-1] == 1:
            assert "The run ended, but the last checkpoint, of iteration 2, is not on disk (No space" in last_line(err)
            left = "an earlier one is" if (folder / LAST).exists() else "nor is any other"
            assert left in last_line(err)
        assert not list(small_disk.rglob("*.part"))
        for path in (folder / "checkpoints").glob("*"):
            checkpoints.load(path)
        shutil.rmtree(folder, ignore_errors=True)
        (small_disk / "ballast").unlink()
    assert codes[0] == 2
    assert 1 in codes
    assert codes[-1] == 0


def last_line(text: str) -> str:
    return text.rstrip("\n").splitlines()[-1]


def test_a_run_in_python_whose_last_checkpoint_is_lost_raises(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, before[1]))
    try:
        with pytest.raises(GanlabError, match=r"The run ended, but the last checkpoint.*File too large.*start the run"):
            ganlab.train(words(f"run.dir={tmp_path / 'run'}"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_output_that_goes_to_a_full_disk_stops_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = open("/dev/full", "w", buffering=1)  # noqa: SIM115
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", full)
        patched.setattr("sys.stderr", full)
        assert cli.dispatch(["train", *words(f"run.dir={tmp_path / 'run'}")]) == 0
    with pytest.raises(OSError, match="No space left"):
        full.close()
    assert state(tmp_path / "run")["ganlab"]["progress"]["iteration"] == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_an_answer_that_goes_to_a_full_disk_is_a_failure() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "ganlab", "--version"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr == b"ganlab: the output could not be written: No space left on device.\n"
