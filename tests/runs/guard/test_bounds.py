"""A discriminator that nothing bounds: closed forms of linear networks, and which runs have one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.instruments import Network, Parts, subject
from support.runs import Train, metrics
from torch import Tensor, nn
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


LOSSES: dict[str, tuple[Callable[..., Tensor], bool]] = {
    "Wasserstein": (lambda *, real_logits, fake_logits: (fake_logits - real_logits).mean(), True),
    "raised by large logits": (lambda *, real_logits, fake_logits: (real_logits - fake_logits).mean(), False),
    "quadratic": (lambda *, real_logits, fake_logits: -(real_logits - fake_logits).square().mean(), False),
    "of a distance": (lambda *, real_logits, fake_logits: -(real_logits - fake_logits).abs().mean(), False),
    "bent": (lambda *, real_logits, fake_logits: (fake_logits - real_logits).clamp(max=500).mean(), False),
    "of images too": (lambda *, real_logits, fake_logits, reals: (fake_logits - real_logits).mean(), False),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_linear_where_it_takes_logits_alone_and_scales_with_them_both_ways(name: str) -> None:
    loss, free = LOSSES[name]
    assert is_free(of_loss(loss), [], {"discriminator": of_decay(0)}) == free


def of_loss(loss: Any) -> Any:
    return SimpleNamespace(loss=SimpleNamespace(discriminator=loss))


def of_decay(*decays: float) -> torch.optim.Optimizer:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "weight_decay": decay} for decay in decays]
    return torch.optim.SGD(groups, lr=0.1)


@pytest.mark.parametrize(
    ("acts_on", "decays", "player", "free"),
    [
        ("generator", (0,), "discriminator", True),
        ("discriminator", (0,), "discriminator", False),
        ("generator", (0, 0.1), "discriminator", False),
        ("generator", (0,), "generator", False),  # nobody trains the discriminator
    ],
)
def test_what_acts_on_the_discriminator_bounds_it(acts_on: str, decays: Any, player: str, free: bool) -> None:
    regularizer = SimpleNamespace(acts_on=lambda game: {acts_on})
    assert is_free(of_loss(LOSSES["Wasserstein"][0]), [regularizer], {player: of_decay(*decays)}) == free


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
