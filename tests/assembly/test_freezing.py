"""``freeze=``: what it names, what it leaves as it was, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.runs import TINY, Train, state
from torch import nn

from ganlab.assembly import experiment
from ganlab.assembly.experiment import Experiment
from ganlab.config import compose
from ganlab.core.errors import GanlabError

NETWORKS = ("model=dcgan", "generator.width=4", "discriminator.width=4", "data.image_size=16")
WORDS = "freeze=[discriminator:1,generator.linear]"


def built(*words: str) -> Experiment:
    return experiment.build(compose.read([*TINY, *NETWORKS, *words]))


def frozen(made: Experiment) -> set[str]:
    trained = {id(p) for group in made.module.player_optimizers.parameters.values() for p in group}
    return {name for name, p in made.module.game.named_parameters() if id(p) not in trained}


def played(made: Experiment, iterations: int = 2) -> None:
    made.module.begin()
    batches = iter(experiment.loader(made, torch.device("cpu")))
    for _ in range(iterations):
        made.module.iterate(next(batches))


CLAMPED = ("reg=singular_value", "reg.singular_value.method=clamp", "reg.singular_value.bound=0.01")
REGULARIZERS: list[tuple[str, ...]] = [
    ("reg=[sn,ortho]",),
    ("reg=weight_clipping",),
    ("reg=[singular_value,l2]",),
    CLAMPED,
]


@pytest.mark.parametrize("reg", REGULARIZERS)
def test_what_is_frozen_stays_and_the_rest_moves(reg: tuple[str, ...]) -> None:
    """Regularizers that set weights or add to gradients by themselves leave it alone too."""
    made = built(WORDS, *reg)
    held = frozen(made)
    assert {name.split(".")[1] for name in held} == {"linear", "convs"}
    before = {name: p.detach().clone() for name, p in made.module.game.named_parameters()}
    played(made)
    for name, parameter in made.module.game.named_parameters():
        if name in held:
            assert torch.equal(parameter, before[name]), name
            assert parameter.grad is None
        elif parameter.ndim > 1:
            assert not torch.equal(parameter, before[name]), name


def test_the_first_layers_are_those_of_a_pass_with_what_lies_between() -> None:
    """By hand: DCGAN's discriminator is convolution, convolution, norm, ..., linear."""
    made = built("freeze=discriminator:2")
    network: Any = made.module.game.players["discriminator"].modules["discriminator"]
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    expected = {id(p) for layer in convolutions[:2] for p in layer.parameters()}
    assert {id(p) for p in network.parameters() if not p.requires_grad} >= expected
    assert all(p.requires_grad for layer in convolutions[2:] for p in layer.parameters())
    assert all(p.requires_grad for p in network.linear.parameters())


def test_names_are_those_without_what_regularizers_add() -> None:
    made = built("reg=sn", "freeze=[discriminator.linear.weight,discriminator.conv*.bias]")
    names = [name for name, _ in made.module.game.named_parameters()]
    biases = {name for name in names if name.startswith("discriminator.conv") and "bias" in name}
    assert frozen(made) == {"discriminator.linear.parametrizations.weight.original", *biases}


def test_a_run_says_it_and_keeps_no_moments_of_it(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train("freeze=discriminator:1", steps=2)
    assert " frozen" in capsys.readouterr().out
    moments = state(folder)["optimizer_states"]
    assert len(moments[0]["state"]) < len(moments[1]["state"])


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("generator.linaer", r"names no part of discriminator, generator\. Did you mean 'generator\.linear'"),
        ("generator", "leaves nothing of the generator to train"),
        ("discriminator:99", r"the discriminator has \d+ layers with weights, of which one must be trained"),
        ("generator:1", "is none of discriminator:COUNT, the COUNT first layers, and the name of a part"),
        ("discriminator:many", "is none of discriminator:COUNT"),
    ],
)
def test_refused_in_one_sentence(word: str, sentence: str) -> None:
    with pytest.raises(GanlabError, match=sentence):
        built(f"freeze={word}")


def test_a_discriminator_of_more_than_images_is_frozen_by_names() -> None:
    with pytest.raises(GanlabError, match="takes more than them: name its layers"):
        built("game=bigan", "freeze=discriminator:1")
    held = frozen(built("game=bigan", "freeze=encoder.body.linear"))
    assert {name.split(".")[0] for name in held} == {"encoder"}
