"""Verdicts on games that are trained on points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from scipy import stats

from ganlab.assembly import experiment
from ganlab.core.errors import GanlabError
from ganlab.dynamics import trained, training
from ganlab.dynamics.contest import Coverage
from ganlab.dynamics.trained import Look
from ganlab.dynamics.training import Training

SMALL = ["data.count=200", "generator.width=8", "generator.depth=1", "discriminator.width=8", "discriminator.depth=1",
         "data.batch_size=8"]  # fmt: skip


@pytest.fixture(scope="module")
def ring() -> Training:
    return Training(training.configuration("ring", SMALL))


def looks(distances: Sequence[float], modes: Sequence[int], motion: float) -> list[Look]:
    return [
        Look(k, distance, Coverage(count, 1.0, 1.0), torch.full((4, 2), motion * (k % 2)))
        for k, (distance, count) in enumerate(zip(distances, modes, strict=True))
    ]


@pytest.mark.parametrize(
    ("distances", "modes", "motion", "word"),
    [
        ([1.0] * 10 + [0.01] * 31, [8] * 41, 0.5, "converges"),
        ([1.0] * 10 + [0.01] * 31, [8] * 40 + [7], 0.5, "cycles"),
        ([1.0] + [0.3] * 40, [4] * 41, 0.5, "cycles"),
        ([1.0] + [0.3] * 40, [4] * 41, 0.0, "undecided"),
        ([1.0 / (1 + k) for k in range(41)], [4] * 41, 0.5, "undecided"),
        ([1.0] + [3.0] * 40, [0] * 41, 0.5, "diverges"),
    ],
    ids=["near with all modes", "one mode lost", "far and moving", "far and at rest", "still falling", "farther"],
)
def test_the_verdict_follows_its_rule(
    ring: Training, distances: list[float], modes: list[int], motion: float, word: str
) -> None:
    assert trained.judge(looks(distances, modes, motion), ring).word == word


def test_points_that_are_not_finite_diverge(ring: Training) -> None:
    found = looks([1.0, 1.0], [0, 0], 0.0)
    found.append(Look(7, float("nan"), Coverage(0, 0.0, 0.0), torch.full((4, 2), float("nan"))))
    assert trained.judge(found, ring).reason == "points are not finite from iteration 7 on"


def test_the_energy_distance_is_scipys_but_for_pairs_of_a_point_with_itself() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=300), random.normal(1, 2, size=200)
    with_itself = stats.energy_distance(x, y) ** 2
    inner = [np.abs(v[:, None] - v).sum() * (1 / (len(v) * (len(v) - 1)) - 1 / len(v) ** 2) for v in (x, y)]
    found = trained.energy_distance(torch.from_numpy(x)[:, None], torch.from_numpy(y)[:, None])
    assert found == pytest.approx(with_itself - sum(inner), abs=1e-9)


def test_a_training_gives_looks_lines_and_pictures() -> None:
    played = Training(training.configuration("ring", SMALL))
    found = list(trained.looks(played, 4))
    assert [look.iteration for look in found] == [0, 1, 2, 3, 4]
    *_, before, last = trained.lines(found, played, "ring")
    assert before.startswith("simulation: ")
    assert last.startswith("verdict: ")
    assert trained.picture(played, found[-1]).shape == (3, 530, 512)


def test_a_training_with_classes_has_samples_of_all_of_them_and_no_energy_of_a_point_alone() -> None:
    played = Training(training.configuration("ring", [*SMALL, "data.labels=modes"]))
    (look, *_) = trained.looks(played, 1)
    assert trained.picture(played, look).shape == (3, 530, 512)
    with pytest.raises(GanlabError, match="an energy for each"):
        played.energy(played.points)


ALIKE = {
    "as it comes": ["reg=r1"],
    "schedules": [
        "reg=r1", "reg.r1.gamma={from:10,to:0.1,end_steps:3}", "optimizer.generator.lr={from:1e-2,to:0,end_steps:5}"
    ],
    "other optimizers": [
        "optimizer/generator=sgd", "optimizer.generator.momentum=0.5", "optimizer/discriminator=rmsprop", "reg=r1"
    ],
    "clipped": ["reg=[sn,gradient_penalty]", "loss=wasserstein", "clip.generator=0.1"],
    "several steps, together": ["game.discriminator_steps=2", "game.update=simultaneous"],
    "micro-batches": ["accumulate=2", "game.same_latents=true"],
    "state in every pass": ["reg=sn", "state_updates=every_forward"],
    "with classes": ["data.labels=modes", "loss=hinge"],
}  # fmt: skip


@pytest.mark.parametrize("words", ALIKE.values(), ids=ALIKE)
def test_a_training_is_that_of_a_run_of_the_same_words(words: list[str]) -> None:
    config = training.configuration("ring", [*SMALL, *words])
    played, built = Training(config), experiment.build(config)
    built.module.begin()
    batches = iter(experiment.loader(built, torch.device("cpu")))
    for _ in range(4):
        played.iterate()
        built.module.iterate(next(batches))
    for (name, mine), theirs in zip(played.game.named_parameters(), built.module.game.parameters(), strict=True):
        assert torch.equal(mine, theirs), name
