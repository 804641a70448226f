"""A discriminator that nothing bounds: closed forms of linear networks, and which runs have one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.instruments import Network, Parts, subject
from support.runs import Train, metrics
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganlab.assembly import experiment
from ganlab.config import compose
from ganlab.runs.callbacks.guard import GuardError
from ganlab.runs.guard.bounds import doubled, is_free
from ganlab.runs.guard.events import events


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_logits_are_a_power_of_two_as_far_apart_where_layers_are_free(layers: int) -> None:
    network = Network(*(nn.Linear(2, 2 if at + 1 < layers else 1) for at in range(layers)))
    images = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
    assert doubled(subject(Parts(discriminator=network)), images, None).item() == pytest.approx(2**layers, rel=1e-4)


def test_spectral_normalization_of_any_make_bounds_logits() -> None:
    network = Network(spectral_norm(nn.Linear(2, 2)), nn.LeakyReLU(), spectral_norm(nn.Linear(2, 1)))
    images = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
    assert doubled(subject(Parts(discriminator=network)), images, None).item() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    ("words", "free"),
    [
        ("loss=wasserstein reg=none", True),
        ("loss=wasserstein reg=none clip.discriminator=1", True),
        ("loss=wasserstein reg=r1", False),
        ("loss=wasserstein reg=sn", False),
        ("loss=wasserstein reg=weight_clipping", False),
        ("loss=wasserstein reg=none optimizer/discriminator=adam optimizer.discriminator.weight_decay=0.1", False),
        ("loss=wgan_gp", False),
        ("loss=hinge reg=none", False),
        ("loss=f_gan reg=none", False),
        ("loss=relativistic reg=none", False),
        ("experiment=digits_introvae", False),
        ("experiment=digits_ebgan", False),
    ],
)
def test_a_discriminator_is_free_where_its_loss_is_linear_and_nothing_acts_on_it(words: str, free: bool) -> None:
    module = experiment.build(compose.read(words.split())).module
    module.begin()
    found = is_free(module.game, module.regularizers.values(), module.player_optimizers.by_player)  # type: ignore[arg-type]
    assert found == free


def test_a_critic_without_a_constraint_is_seen_at_the_first_look_and_does_not_go_back(
    train: Train, tmp_path: Path
) -> None:
    words = ("guard=rollback", "guard.every_steps=2", "checkpoint.every_steps=1", "loss=wasserstein", "reg=none")
    with pytest.raises(GuardError, match="unbounded since 2: the discriminator's loss is linear in its logits"):
        train(*words, steps=6)
    (event,) = events(tmp_path / "run")
    assert (event.sign, event.action, event.noticed) == ("unbounded", "stop", 2)
    (line,) = (line for line in metrics(tmp_path / "run") if event.quantity in line)
    assert line[event.quantity] > 1.5
