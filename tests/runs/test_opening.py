"""A run begins with three lines: its data, its networks, its length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from support.runs import TINY

from ganlab.assembly import experiment
from ganlab.config import compose
from ganlab.contracts.plan import Progress
from ganlab.runs import opening, session

NARROW = ("generator.width=4", "discriminator.width=4")


def lines(*words: str, world_size: int = 1, progress: Progress | None = None) -> list[str]:
    built = experiment.build(compose.read([*NARROW, *words]))
    found = opening.lines(built, world_size, progress or Progress())
    assert [line.partition(" ")[0].rstrip(":") for line in found] == ["data", "networks", "length"]
    return found


def photos(folder: Path, sizes: list[tuple[int, int]], mode: str = "RGB", **classes: int) -> Path:
    """Images of these (width, height), all of each, in class folders or none."""
    for name, count in (classes or {"": len(sizes)}).items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new(mode, sizes[number % len(sizes)]).save(folder / name / f"{number}.png")
    return folder


def test_the_defaults_in_three_lines_of_100_columns() -> None:
    found = lines("model=sngan", "reg=[sn,r1,ortho]")
    assert found == [
        "data: digits, 1,797 grey images of 8x8, trained at 8x8, 448 held out; 10 classes of 174 to 183",
        found[1],
        "length: 1,000 iterations, 64 kimg, 47 epochs, batch 64",
    ]
    assert found[1].startswith("networks (parameters): generator sngan 0.0")
    assert found[1].endswith("(ortho); discriminator sngan 769 (sn: 8 layers, r1)")
    assert max(map(len, found)) <= 100


def test_photographs_are_trained_at_64_pixels_and_the_first_lines_say_their_own_size(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", [(800, 600)] * 3)
    found = lines("model=dcgan", "data=folder", f"data.path={folder}", "data.batch_size=2")
    assert found[0] == "data: photos, 3 colour images of 800x600, trained at 64x64; no classes"


def test_sizes_and_classes_that_differ_are_said(tmp_path: Path) -> None:
    folder = photos(tmp_path / "set", [(30, 20), (50, 90)], "L", cat=2, dog=4)
    words = ("model=dcgan", "data=folder", f"data.path={folder}", "data.batch_size=2", "data.held_out=0.5")
    found = lines(*words)[0]
    assert found == "data: set, 6 grey images of 30x20 to 50x90, trained at 20x20, 2 held out; 2 classes: cat 2, dog 4"
    unused = lines(*words, "data.num_classes=0", "data.image_channels=3", "data.image_size=64")[0]
    assert (
        unused
        == "data: set, 6 grey images of 30x20 to 50x90, enlarged to 64x64 in colour, 2 held out; 2 classes, not used"
    )


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([3, 3, 3], " of 3 each"), ([1, 20, 3000], " of 1 to 3,000"), ([5, 2], ": a 5, b 2")],
)
def test_many_classes_are_shortened(counts: list[int], expected: str) -> None:
    room = 100 if len(counts) == 2 else 5
    assert opening._classes(("a", "b", "c")[: len(counts)], counts, room) == expected


def test_networks_of_a_game_are_said_by_player_with_what_regularizes_them() -> None:
    names = ("ada", "sn", "r1", "vib", "lecam", "consistency", "instance_noise", "drift", "l2")
    many = lines("model=sngan", "augment=ada", f"reg=[{','.join(names[1:])},ortho]")[1]
    assert many.startswith("networks: generator sngan 0.02 M (ortho); discriminator sngan 769, vib ")
    assert many.endswith(f"({', '.join(names)})")
    consensus = lines("loss=minimax", "reg=consensus", "game.update=simultaneous")[1]
    assert consensus.count("(consensus)") == 2
    encoder = lines("experiment=digits_bigan", "encoder.width=4")[1]
    assert [words.split()[0] for words in encoder.partition(": ")[2].split("; ")] == ["generator", "discriminator"]
    assert ", encoder sngan " in encoder


GROWING = ("experiment=digits_pggan", "generator.width=64", "discriminator.width=64")


@pytest.mark.parametrize(
    ("words", "world_size", "progress", "expected"),
    [
        (("trainer.max_steps=1",), 1, Progress(), "1 iteration, 0.064 kimg, 0.0 epochs, batch 64"),
        (("trainer.max_steps=-1",), 1, Progress(), "until it is stopped, batch 64"),
        (
            ("accumulate=4", "trainer.max_steps=1000"),
            2,
            Progress(500, 32_000, 32_000),
            "iterations 501 to 1,000, 64 kimg, 47 epochs, batch 64 = 2 processes x 4 micro-batches x 8",
        ),
        (("run.max_kimg=10",), 1, Progress(), "157 iterations, 10.05 kimg, 7.4 epochs, batch 64"),
        (("run.max_kimg=10", "trainer.max_steps=9"), 1, Progress(), "9 iterations, 0.576 kimg, 0.4 epochs, batch 64"),
        (("game.discriminator_steps=5",), 1, Progress(), "1,000 iterations, 320 kimg, 237 epochs, batch 64"),
        (GROWING, 1, Progress(), "1,500 iterations, 24 kimg, 18 epochs, batch 16, growing from 4x4 to 16x16"),
        (
            (*GROWING, "growth.batch_sizes={4:32,8:32}"),
            1,
            Progress(),
            "1,187 iterations, 24 kimg, 18 epochs, batch 16 to 32, growing from 4x4 to 16x16",
        ),
        (("trainer.max_time=00:01:00:00",), 1, Progress(), "64, at most trainer.max_time=00:01:00:00"),
    ],
)
def test_the_length_is_that_of_the_run(
    words: tuple[str, ...], world_size: int, progress: Progress, expected: str
) -> None:
    assert lines(*words, world_size=world_size, progress=progress)[2].endswith(expected)


def test_a_growing_run_has_as_many_iterations_as_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["growth.stable_kimg=0.04", "growth.fade_kimg=0.05", "growth.batch_sizes={4:8,8:4}", "data.batch_size=4"]
    words += ["trainer.accelerator=cpu", "sample.count=10", f"run.dir={tmp_path / 'run'}"]
    outcome = session.start(compose.read([*NARROW, *GROWING, *words]))
    said = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("length"))
    done: Any = torch.load(outcome.folder / "checkpoints/last.ckpt", weights_only=True)["ganlab"]["progress"]
    assert said.startswith(f"length: {done['iteration']} iterations, {done['images_seen'] / 1000:.4g} kimg")


def test_a_new_and_a_resumed_run_begin_with_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    session.start(compose.read([*TINY, "trainer.max_steps=1", f"run.dir={folder}"]))
    started = capsys.readouterr().out.splitlines()
    session.resume(folder, {"trainer.max_steps": 2})
    resumed = capsys.readouterr().out.splitlines()
    for out in (started, resumed):
        assert [line.partition(":")[0] for line in out[:4]] == ["data", "networks (parameters)", "length", "run"]
    assert started[2] == "length: 1 iteration, 0.008 kimg, 0.0 epochs, batch 8"
    assert resumed[:2] == started[:2]
    assert resumed[2] == "length: iterations 2 to 2, 0.016 kimg, 0.0 epochs, batch 8"
