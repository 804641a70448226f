"""``gamma=auto`` is a number that follows from images, batch and length, and a run says which."""

from __future__ import annotations

from typing import Any

import pytest

from ganlab.assembly import automatic, experiment
from ganlab.config import compose
from ganlab.config.configuration import Config
from ganlab.contracts.plan import Progress
from ganlab.core.errors import GanlabError
from ganlab.regularizers.r1 import R1
from ganlab.runs import opening

ONE = ("loss=r1", "reg.r1.gamma=auto")
BOTH = ("loss=r3gan", "reg.r1.gamma=auto", "reg.r2.gamma=auto")


def read(*words: str) -> Config:
    return compose.read(["data=digits", "model=dcgan", "data.image_channels=1", "data.num_classes=0", *words])


def gammas(*words: str) -> list[Any]:
    return [part.arguments["gamma"] for part in automatic.filled(read(*words))[0].of("reg").values()]


@pytest.mark.parametrize(("size", "batch", "expected"), [
    ("1024", 32, 6.55), ("256", 64, 0.205), ("32", 64, 0.0032), ("[32,64]", 64, 0.0064),
])  # fmt: skip
def test_r1_alone_has_the_gamma_of_stylegan2_adas_automatic_configuration(
    size: str, batch: int, expected: float
) -> None:
    """0.0002·H·W/B: what `--cfg=auto` of stylegan2-ada-pytorch gives for one or eight GPUs."""
    assert gammas(*ONE, f"data.image_size={size}", f"data.batch_size={batch}") == [expected]


@pytest.mark.parametrize(("size", "first"), [(64, 2.0), (256, 150.0), (32, 0.231), (8, 0.231)])
def test_r1_with_r2_has_the_gammas_of_r3gans_authors_for_ffhq_and_falls_to_a_tenth(size: int, first: float) -> None:
    expected = {"from": first, "to": pytest.approx(first / 10), "end_kimg": 20000.0, "shape": "cosine"}
    assert gammas(*BOTH, f"data.image_size={size}", "run.max_kimg=20000") == [expected] * 2


def test_a_schedule_ends_with_the_run_and_without_an_end_there_is_none() -> None:
    at = (*BOTH, "data.image_size=64")
    assert gammas(*at, "trainer.max_steps=500")[0]["end_steps"] == 500
    assert gammas(*at)[0]["end_steps"] == 1000
    assert gammas(*at, "trainer.max_steps=-1") == [2.0, 2.0]


def test_a_run_says_what_auto_came_to_and_its_configuration_has_the_number() -> None:
    built = experiment.build(compose.read(["model=dcgan", "generator.width=4", "discriminator.width=4", *ONE]))
    assert opening.lines(built, 1, Progress())[3:] == ["reg.r1.gamma: 0.0002, StyleGAN2-ADA's 0.0002 x 8 x 8 / 64"]
    assert built.config.plain()["reg"]["r1"]["gamma"] == 0.0002
    assert built.module.regularizers["r1"].gamma == 0.0002


def test_auto_without_images_or_a_run_is_refused_in_a_sentence() -> None:
    with pytest.raises(GanlabError, match=r"^reg\.r1\.gamma: [Gg]amma=auto follows from the size of images, .* points"):
        automatic.filled(read(*ONE, "data.image_size=1"))
    with pytest.raises(ValueError, match=r"gamma=auto follows from .* give a number here"):
        R1(gamma="auto")
    with pytest.raises(GanlabError, match=r"reg\.r1\.gamma must be a number or auto, got 'aut'"):
        read("loss=r1", "reg.r1.gamma=aut")
