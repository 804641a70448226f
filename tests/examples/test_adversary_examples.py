"""The examples of the adversary run at a small size, and are short."""

from __future__ import annotations

import io
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("tokenizer", "super_resolution", "sound", "accelerate")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Twenty pictures of noise."""
    draws, path = np.random.default_rng(0), tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w") as file:
        for index in range(20):
            picture = io.BytesIO()
            Image.fromarray(draws.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(picture, "PNG")
            file.writestr(f"{index:03}.png", picture.getvalue())
    return path


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_read_in_one_sitting(name: str) -> None:
    assert len((EXAMPLES / name / "train.py").read_text().splitlines()) < 150


@pytest.mark.slow
def test_the_tokenizer_writes_its_table_and_picture(archive: Path, tmp_path: Path) -> None:
    runpy.run_path(str(EXAMPLES / "tokenizer/train.py"))["main"](archive, 4, tmp_path, held_out=12)
    table = (tmp_path / "table.md").read_text()
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["none", "naive", "cured"]
    assert size_of(tmp_path / "reconstructions.png") == (12 * 64, 4 * 64)


@pytest.mark.slow
def test_super_resolution_writes_its_table_and_picture(archive: Path, tmp_path: Path) -> None:
    runpy.run_path(str(EXAMPLES / "super_resolution/train.py"))["main"](archive, 3, tmp_path, held_out=10)
    assert "with an adversary" in (tmp_path / "table.md").read_text()
    assert size_of(tmp_path / "pictures.png") == (10 * 64, 4 * 64)


@pytest.mark.slow
def test_sound_writes_its_table_and_picture(tmp_path: Path) -> None:
    runpy.run_path(str(EXAMPLES / "sound/train.py"))["main"](3, tmp_path)
    assert "with an adversary" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "spectrograms.png").is_file()


@pytest.mark.slow
def test_the_loop_of_accelerate_prints_the_same_in_one_process_and_two() -> None:
    """Without accelerate both are one process each, which is the same loop."""
    script = str(EXAMPLES / "accelerate/train.py")
    one = subprocess.run([sys.executable, script, "51"], capture_output=True, text=True, check=True).stdout
    assert len(one.splitlines()) == 2
    pytest.importorskip("accelerate")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", script, "51"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == one


def test_the_loop_of_accelerate_learns_something() -> None:
    main = runpy.run_path(str(EXAMPLES / "accelerate/train.py"))["main"]
    assert not torch.equal(main(1), main(3))
