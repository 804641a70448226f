"""Default networks and loss of a game."""

from __future__ import annotations

from typing import Any

import pytest

from ganlab.config import compose, configuration
from ganlab.core.errors import GanlabError

CHOSEN: dict[tuple[str, ...], dict[str, Any]] = {
    ("game=bigan",): {"discriminator": "sngan", "encoder": "sngan", "statistics": None, "loss": "hinge"},
    ("game=bigan", "model=dcgan"): {"discriminator": "dcgan", "encoder": "dcgan"},
    ("game=bigan", "model=dcgan", "encoder=mlp"): {"encoder": "mlp"},
    ("game=introvae",): {"discriminator": None, "encoder": "sngan", "loss": None},
    ("game=introvae", "experiment=digits"): {"discriminator": None, "encoder": "sngan", "loss": None},
    ("game=meg",): {"discriminator": "sngan", "encoder": None, "statistics": "meg", "loss": None},
    ("game=ebgan",): {"discriminator": "autoencoder", "loss": "energy_margin"},
    ("game=ebgan", "loss=hinge"): {"discriminator": "autoencoder", "loss": "hinge"},
    (): {"discriminator": "sngan", "encoder": None, "statistics": None, "loss": "hinge"},
}


@pytest.mark.parametrize("words", CHOSEN, ids=" ".join)
def test_a_game_brings_what_its_roles_need_and_drops_what_has_none(words: tuple[str, ...]) -> None:
    composed = compose.composed(words)
    assert {role: composed[role].get("component") for role in CHOSEN[words]} == CHOSEN[words]
    configuration.checked(composed)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["game=introvae", "loss=hinge"],
            "game=introvae has no place for loss=hinge: it plays without, write loss=none.",
        ),
        (["encoder=sngan"], "game=standard has no place for encoder=sngan"),
        (["game=bigan", "encoder=none"], "game=bigan needs an encoder: choose one as encoder=NAME"),
        (["loss=none"], "game=standard needs an adversarial loss: choose one as loss=NAME"),
        (["game=meg", "statistics=none"], "game=meg needs a statistics network: choose one as statistics=NAME"),
    ],
)
def test_a_role_that_is_missing_or_too_much_is_said(words: list[str], sentence: str) -> None:
    with pytest.raises(GanlabError, match=sentence):
        compose.read(words)
