"""Grids of a page: thinned evenly over training, and together no larger than they may be."""

from __future__ import annotations

import base64
import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganlab.reports import grids


def noise(path: Path, side: int, seed: int) -> None:
    """Write a picture that PNG cannot make smaller."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(path, compress_level=1)


def run(folder: Path, count: int, side: int = 8) -> list[tuple[int, float, Path]]:
    for number in range(1, count + 1):
        noise(folder / "samples" / f"iteration_{number:09d}.png", side, number)
    return [(iteration, iteration / 2, path) for iteration, path in grids.found(folder)]


def content(frame: grids.Frame) -> bytes:
    return base64.b64decode(frame.picture.source.partition(",")[2])


def test_few_small_grids_are_the_files_themselves(tmp_path: Path) -> None:
    found = run(tmp_path, 3)
    (shown,) = grids.frames({"run": found}).values()
    assert [(frame.iteration, frame.kimg, frame.width) for frame in shown] == [(1, 0.5, 8), (2, 1.0, 8), (3, 1.5, 8)]
    assert [content(frame) for frame in shown] == [path.read_bytes() for _, _, path in found]


def test_many_runs_show_fewer_grids_of_each_the_first_and_the_last_among_them(tmp_path: Path) -> None:
    found = run(tmp_path, 40)
    shown = grids.frames(dict.fromkeys(range(30), found))
    assert {len(frames) for frames in shown.values()} == {8}
    iterations = [frame.iteration for frame in shown[0]]
    assert (iterations[0], iterations[-1]) == (1, 40)
    assert {b - a for a, b in pairwise(iterations)} <= {5, 6}


def test_grids_that_are_too_large_become_smaller_pictures_of_the_same_width_on_the_page(tmp_path: Path) -> None:
    shown = grids.frames({"run": run(tmp_path, 4, side=200)}, most_bytes=40_000)["run"]
    assert [frame.width for frame in shown] == [200] * 4
    assert sum(len(content(frame)) for frame in shown) <= 40_000
    for frame in shown:
        assert frame.picture.source.startswith("data:image/webp")
        with Image.open(io.BytesIO(content(frame))) as image:
            assert image.width < 200


@pytest.mark.parametrize("damage", [b"", b"root:x:0:0", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + b"\xff" * 9999])
def test_what_is_no_picture_is_left_out(tmp_path: Path, damage: bytes) -> None:
    found = run(tmp_path, 2)
    found[0][2].write_bytes(damage)
    shown = grids.frames({"run": found}, most_bytes=2 * len(found[1][2].read_bytes()))["run"]
    assert shown[-1].iteration == 2
    assert len(damage) < 100 or len(shown) == 1  # a small file with the mark of a PNG is shown as it is


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    noise(tmp_path / "secret.png", 8, 0)
    (tmp_path / "run/samples").mkdir(parents=True)
    (tmp_path / "run/samples/iteration_000000001.png").symlink_to(tmp_path / "secret.png")
    found = [(iteration, 1.0, path) for iteration, path in grids.found(tmp_path / "run")]
    assert grids.frames({"run": found}) == {"run": []}
