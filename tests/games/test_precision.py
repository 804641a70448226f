"""Games and augmentations in mixed precision: the steps are those of float32 but for the rounding of bfloat16."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from support.distributed.cases import CLASSES, COMBINATIONS, FELT, GAMES, REGULARIZERS, Case, play, reg
from support.engine import Engine, distance, pair
from torch import Tensor

from ganlab.contracts.regularizer import Regularizer, overrides
from ganlab.contracts.turn import Turn
from ganlab.core import registry
from ganlab.games.standard import Standard
from ganlab.losses.non_saturating import NonSaturating

CASES = {
    "standard with r1": Case(reg=reg("r1"), num_classes=CLASSES),
    **GAMES,
    "bigan with penalties at interpolates": Case("wasserstein", "bigan", reg=reg("gradient_penalty")),
    "introvae with diff_augment": replace(GAMES["game=introvae"], augment={"diff_augment": {}}),
    "meg with diff_augment": replace(GAMES["game=meg"], augment={"diff_augment": {}}),
    "bigan with ada and r1": Case(game="bigan", reg=reg("r1"), augment={"ada": {"policy": "bgcfnc", "p": 0.5}}),
    "ebgan with diff_augment": replace(GAMES["game=ebgan"], augment={"diff_augment": {}}),
    "extragradient": COMBINATIONS["extragradient"],
    **{name: COMBINATIONS[name] for name in ("diff_augment with r1", "ada with all transformations")},
    **{name: REGULARIZERS[name] for name in ("reg=ortho", "reg=singular_value", "reg=sn", "reg=l2", "reg=vib")},
    "clamped singular values": COMBINATIONS["clamped singular values"],
}


@pytest.mark.parametrize("name", CASES)
def test_under_bf16_every_step_is_that_of_float32_but_for_rounding(name: str) -> None:
    """But for a penalty at augmented images: its float32 pass is one of its own, with an augmentation of its own."""
    case = replace(CASES[name], iterations=1, rate=1e-4)  # hardly moving, so that all steps are at the same weights
    expected = play(case)
    with torch.autocast("cpu", torch.bfloat16):
        found = play(case)
    augmented = case.augment and (case.reg or case.game == "meg")
    for (player, exact), (other, rounded) in zip(expected["gradients"], found["gradients"], strict=True):
        assert (player, rounded.dtype) == (other, torch.float32)
        assert 0 < distance(rounded, exact) < (1.5 if augmented and player == "discriminator" else 0.1), player
    assert all(weights.dtype == torch.float32 for weights in found["weights"].values())


def steps(make: Callable[[], Regularizer]) -> list[Tensor]:
    """The weights after a step of both players whose own gradients are 0.1 everywhere."""
    torch.manual_seed(0)
    generator, discriminator = pair()
    engine = Engine(Standard(generator=generator, discriminator=discriminator, loss=NonSaturating()), {"it": make()})
    for parameter in engine.game.parameters():
        parameter.grad = torch.full_like(parameter, 0.1)
    engine.module.player_optimizers.step(Turn(("discriminator", "generator")))
    return [parameter.detach() for parameter in engine.game.parameters()]


def of_steps() -> Iterator[str]:
    for name in registry.names("reg"):
        made = registry.load("reg", name)()
        if any(overrides(made, hook) for hook in ("gradients", "after_step")):
            yield name


@pytest.mark.parametrize("name", list(of_steps()))
def test_under_bf16_gradients_and_weights_are_changed_in_float32(name: str) -> None:
    def make() -> Regularizer:
        found: Regularizer = registry.load("reg", name)(**FELT.get(name, {}))
        return found

    expected = steps(make)
    with torch.autocast("cpu", torch.bfloat16):
        found = steps(make)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
