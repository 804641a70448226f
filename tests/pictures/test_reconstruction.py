"""``ganlab sample RUN kind=reconstruction``: what encoder and generator make of the images of a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.runs import picture

from ganlab import cli
from ganlab.config import compose
from ganlab.runs import session
from ganlab.runs.run import Run
from ganlab.sampling import generation

WORDS = ("generator=dcgan", "generator.width=4", "generator.latent_dim=8", "encoder=dcgan", "encoder.width=4",
         "data.batch_size=8", "data.num_classes=0", "sample.count=4", "trainer.max_steps=1",
         "trainer.accelerator=cpu")  # fmt: skip
OTHERS = {"bigan": ("discriminator=dcgan", "discriminator.width=4"), "introvae": ("reg=none",)}


@pytest.fixture(scope="module", params=OTHERS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "run"
    return session.start(
        compose.read([*WORDS, *OTHERS[request.param], f"game={request.param}", f"run.dir={folder}"])
    ).folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Of other sizes than the run's, in grey, in colour and with transparency, each of one brightness."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, mode, size, colour in (
        ("a", "L", (31, 20), 0),
        ("b", "RGB", (17, 33), (255,) * 3),
        ("c", "L", (8, 8), 51),
    ):
        Image.new(mode, size, colour).save(folder / f"{name}.png")
    return folder


def sample(run: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        cli.main(["sample", str(run), "kind=reconstruction", *words])
    found = capsys.readouterr()
    return int(str(ended.value.code)), found.out + found.err


def test_each_image_is_beside_its_reconstruction(
    run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pairs.png"
    code, said = sample(run, capsys, f"images={photos}", f"out={out}")
    assert (code, said) == (0, f"6 images of iteration 1: {out}\n")
    loaded = Run(run)
    x = torch.tensor([-1.0, 1.0, 51 / 127.5 - 1]).view(3, 1, 1, 1).expand(3, *loaded.generator.image_shape)
    with torch.no_grad():
        codes, _ = loaded.module.average.get_submodule(str(loaded.module.game.encodes))(x)
        made = loaded.generator(codes).clamp(-1, 1)
    expected = [image for couple in zip(x, made, strict=True) for image in couple]
    canvas = generation.grid(torch.stack(expected), 4)
    shown = np.asarray(picture(out)).astype(int).squeeze()
    assert np.abs(shown - np.asarray(canvas).astype(int).squeeze()).max() <= 1


def test_a_file_that_is_no_image_is_named_in_one_sentence(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "b.png").write_text("no picture")
    code, said = sample(run, capsys, f"images={photos}")
    assert code == 2
    assert said.startswith(f"ganlab: images={photos}: b.png cannot be read")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "kind=reconstruction takes images=FOLDER"),
        (("images=/nowhere",), "images=/nowhere: there is no such folder."),
    ],
)
def test_images_that_are_not_there_are_missed_in_one_sentence(
    run: Path, words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = sample(run, capsys, *words)
    assert (code, said.startswith(f"ganlab: {sentence}"), said.count("\n")) == (2, True, 1)


def test_a_run_without_an_encoder_says_what_to_train_with(
    finished: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = sample(finished, capsys, f"images={photos}")
    assert code == 2
    assert "game=standard has no encoder" in said
    assert said.endswith("train with one, as game=bigan.\n")


def test_a_run_with_classes_takes_them_from_the_command_line(
    train: Callable[..., Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = train("game=bigan", "encoder.width=4", steps=1)
    code, said = sample(made, capsys, f"images={photos}")
    assert (code, "has 10 classes" in said, said.endswith("as labels=0.\n")) == (2, True, True)
    code, _ = sample(made, capsys, f"images={photos}", "labels=[1,2,3]", f"out={tmp_path / 'out.png'}")
    assert code == 0
