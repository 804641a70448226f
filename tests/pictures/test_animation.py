"""Walks: large enough, without an empty place, seconds long, and as MP4 where ffmpeg is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from support.runs import picture

import ganlab
from ganlab import cli
from ganlab.core.errors import GanlabError
from ganlab.pictures import animation, latent_space


def opened(path: Path) -> tuple[tuple[int, int], int, int]:
    """Size, frames, milliseconds of all frames."""
    with Image.open(path) as shown:
        milliseconds = []
        for frame in ImageSequence.Iterator(shown):
            frame.load()
            milliseconds.append(frame.info["duration"])
        return shown.size, len(milliseconds), sum(milliseconds)


@pytest.mark.parametrize("rows", [1, 2, 5, 8, 9, 12])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (32, 64), (64, 64), (600, 600)])
def test_a_frame_is_large_and_full_and_its_pixels_are_whole_squares(rows: int, height: int, width: int) -> None:
    images = torch.rand(rows * 2, 1, height, width) * 2 - 1
    first, second = animation.frames(images, rows)
    down, across = animation.filled(rows)
    assert down * across == rows
    shown = [(side - 2) // n - 2 for side, n in zip(first.shape[1:], (down, across), strict=True)]
    scale = shown[0] // height
    assert shown == [height * scale, width * scale]
    shorter, longer = sorted(first.shape[1:])
    assert shorter >= 512 or longer >= 2048 - max(height, width) * across
    assert longer >= 512
    # the last image of the grid is there, and is that of the step
    for frame, step in ((first, 0), (second, 1)):
        last = frame[0, -2 - height * scale : -2 : scale, -2 - width * scale : -2 : scale]
        assert torch.equal(last, images[2 * (rows - 1) + step, 0].add(1).mul(127.5).round().byte())


def test_grids_are_as_square_as_they_can_be() -> None:
    assert [animation.filled(n) for n in (1, 2, 7, 8, 9, 12)] == [(1, 1), (1, 2), (1, 7), (2, 4), (3, 3), (3, 4)]


def test_large_images_are_shown_fewer_at_a_time() -> None:
    assert [animation.rows_that_fit(n) for n in (8, 64, 170, 256, 512, 1024)] == [9, 9, 9, 4, 1, 1]


@pytest.mark.parametrize(("name", "words", "steps"), [("walk.webp", [], 50), ("walk.gif", ["steps=6", "seed=0"], 6)])
def test_a_walk_of_the_command_line_lasts_seconds_and_goes_there_and_back(
    finished: Path, tmp_path: Path, name: str, words: list[str], steps: int
) -> None:
    out = tmp_path / "new" / name
    assert cli.dispatch(["sample", str(finished), "kind=interpolation", "labels=3", *words, f"out={out}"]) == 0
    size, count, milliseconds = opened(out)
    assert min(size) >= 512
    assert count == 2 * steps - 2
    assert milliseconds == (3920 if steps == 50 else 3000)  # 25 frames a second, or three seconds
    images = latent_space.interpolation(ganlab.load(finished), 9, steps, labels=3)
    first = animation.frames(images, 9)[0][0].numpy().astype(int)
    assert abs(np.asarray(picture(out).convert("L")).astype(int) - first).max() <= 2  # a GIF has few colours
    assert [path.name for path in out.parent.iterdir()] == [name]


def test_a_walk_of_few_frames_shows_each_of_them_longer(tmp_path: Path) -> None:
    frames = [torch.full((1, 16, 16), 50 * i, dtype=torch.uint8) for i in range(4)]
    animation.write(frames, tmp_path / "walk.gif")
    assert opened(tmp_path / "walk.gif") == ((16, 16), 6, 3000)


def test_without_ffmpeg_an_mp4_is_refused_by_one_sentence_before_anything_is_made(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("ganlab.runs.run.Run.__init__", None)  # nothing is loaded
    with pytest.raises(GanlabError, match=r"walk\.mp4 needs ffmpeg, which is not installed: install it, or take out="):
        cli.dispatch(["sample", str(finished), "kind=interpolation", f"out={tmp_path / 'walk.mp4'}"])


def pretend(folder: Path, code: str) -> None:
    """An ffmpeg that is a Python program."""
    path = folder / "ffmpeg"
    path.write_text(f"#!{sys.executable} -S\nimport sys\n{code}\n")
    path.chmod(0o755)


def test_the_frames_are_piped_to_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(
        tmp_path, "open(sys.argv[-1], 'wb').write(' '.join(sys.argv[1:-1]).encode() + b'|' + sys.stdin.buffer.read())"
    )
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    frames = [torch.full((3, 2, 4), i, dtype=torch.uint8) for i in range(3)]
    out = tmp_path / "out" / "walk.mp4"
    animation.write(frames, out)
    words, _, pixels = out.read_bytes().partition(b"|")
    assert b"-s 4x2 -r 1000/750" in words  # four frames, three seconds
    assert pixels == b"".join(bytes([i]) * 24 for i in (0, 1, 2, 1))
    assert [path.name for path in out.parent.iterdir()] == ["walk.mp4"]


def test_an_ffmpeg_that_fails_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "open(sys.argv[-1], 'w').write('half'); sys.stderr.write('first\\nNo encoder.\\n'); sys.exit(1)"
    pretend(tmp_path, code)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    frames = [torch.zeros(3, 512, 512, dtype=torch.uint8)] * 3  # more than a pipe holds
    with pytest.raises(GanlabError, match=r"ffmpeg cannot make the video: No encoder\. Take out=walk\.webp"):
        animation.write(frames, tmp_path / "out" / "walk.mp4")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.skipif(shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None, reason="no ffmpeg here")
def test_a_real_ffmpeg_makes_a_video_with_even_sides(tmp_path: Path) -> None:
    frames = [torch.full((3, 63, 65), 20 * i, dtype=torch.uint8) for i in range(6)]
    animation.write(frames, tmp_path / "walk.mp4")
    asked = ["ffprobe", "-v", "error", "-show_entries", "stream=width,height,nb_frames", "-of", "csv=p=0"]
    found = subprocess.run([*asked, tmp_path / "walk.mp4"], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "66,64,10"
