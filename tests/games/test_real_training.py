"""Each game trains on the digits: a classifier that learned from real digits reads the classes of what is made.

The recipes at full length are described in the headers of conf/experiment/digits_*.yaml; here they are cut short, and
played by smaller networks where these learn as well.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ganlab
from ganlab.config import compose
from ganlab.runs import session

# iterations at which the check is passed with room to spare, and what makes them fewer or cheaper than the recipe's
SMALLER = ["generator=dcgan", "generator.width=16", "data.image_size=8"]
FASTER = ["optimizer.generator.lr=2e-3", "optimizer.discriminator.lr=2e-3", "game.width=128"]
GAMES: dict[str, tuple[int, list[str]]] = {
    "digits_bigan": (550, [*SMALLER, *FASTER]),
    "digits_meg": (320, []),
    "digits_ebgan": (450, SMALLER),
    "digits_introvae": (400, [*SMALLER, "encoder=dcgan"]),
}


def fitted(images: np.ndarray, labels: np.ndarray) -> Any:
    from sklearn.svm import SVC

    return SVC(gamma=0.001, C=10).fit(images, labels)


def real_digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    found: tuple[np.ndarray, np.ndarray] = load_digits(return_X_y=True)
    return found


@functools.cache
def classifier() -> Any:
    """It reads 98 % and more of held-out real digits."""
    return fitted(*real_digits())


def read(folder: Path) -> tuple[float, np.ndarray]:
    """Share of 1,000 samples that are read as the asked class (0 without classes), and the classes' shares."""
    run = ganlab.load(folder)
    asked = torch.arange(10).repeat(100)
    images = run.sample(1000, asked if run.num_classes else None)
    found = classifier().predict((images[:, 0] + 1).mul(8).clamp(0, 16).flatten(1).numpy())
    return float((found == asked.numpy()).mean()) * bool(run.num_classes), np.bincount(found, minlength=10) / 1000


def passes(folder: Path) -> bool:
    """With classes nine tenths are read as asked, where chance is one; without, nine classes occur in a hundredth
    of the samples each, and none fills a third."""
    right, occur = read(folder)
    return right > 0.9 if ganlab.load(folder).num_classes else bool((occur > 0.01).sum() >= 9 and occur.max() < 1 / 3)


@pytest.mark.slow  # as what it judges
def test_the_classifier_reads_digits_that_it_has_not_seen() -> None:
    images, labels = real_digits()
    assert fitted(images[:1200], labels[:1200]).score(images[1200:], labels[1200:]) > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("name", GAMES)
def test_a_game_learns_the_digits_and_begins_without_knowing_them(name: str, tmp_path: Path) -> None:
    iterations, others = GAMES[name]
    words = [f"experiment={name}", "sample.every_steps=100000", "ema.half_life_kimg=2", *others]
    for steps, folder in ((1, tmp_path / "untrained"), (iterations, tmp_path / "trained")):
        session.start(compose.read([*words, f"trainer.max_steps={steps}", f"run.dir={folder}"]))
        assert passes(folder) == (steps > 1), (folder.name, read(folder))
