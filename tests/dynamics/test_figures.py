"""Pictures and numbers of a game."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from ganlab.core.errors import GanlabError
from ganlab.dynamics import building, figures, laboratory, numbers
from ganlab.dynamics.behaviour import Behaviour
from ganlab.dynamics.field import Field
from ganlab.dynamics.verdicts import CYCLES, DIVERGES


def test_numbers_are_those_of_the_game_and_a_picture_shows_them(tmp_path: Path) -> None:
    """At the Dirac the critic and R1 have -v = (-θ - gamma·ψ, ψ)."""
    words = ["loss=wasserstein", "reg=r1", "reg.r1.gamma=0.5"]
    found = laboratory.findings(Field(building.build(building.problem("dirac"), building.configuration(words))), 100)
    shown = json.loads(json.dumps(numbers.of(found), allow_nan=False))
    (plane,) = shown["planes"]
    theta, psi = torch.tensor(plane["at"]).T
    torch.testing.assert_close(torch.tensor(plane["arrows"]), torch.stack([psi, -theta - 0.5 * psi], 1))
    assert shown["verdict"]["word"] == "converges"
    assert len(shown["paths"]) == 3
    figures.write(found, tmp_path / "game.png")
    with Image.open(tmp_path / "game.png") as picture:
        assert picture.size[0] > 1000
    with pytest.raises(GanlabError, match="must end in one of"):
        figures.write(found, tmp_path / "game.bmp")


def test_a_picture_reaches_as_far_as_a_cycle() -> None:
    """A critic that is clipped at 4 spirals out until it swings between its limits, at 4.3: others show 2.5."""
    words = ["loss=wasserstein", "reg=none"]
    found = laboratory.findings(Field(building.build(building.problem("dirac"), building.configuration(words))), 100)

    def reach(*words_and_distances: tuple[str, float]) -> float:
        each = [Behaviour(word, 1.0, distance) for word, distance in words_and_distances]
        (plane,) = numbers.of(dataclasses.replace(found, behaviours=each))["planes"]
        return max(abs(x) for point in plane["at"] for x in point)

    assert reach((DIVERGES, 9.0)) == pytest.approx(2.5)
    assert reach((CYCLES, 1.0), (DIVERGES, 9.0)) == pytest.approx(2.5)
    assert reach((DIVERGES, 9.0), (CYCLES, 4.3)) == pytest.approx(1.1 * 4.3)
