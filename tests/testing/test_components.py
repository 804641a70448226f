"""Every registered component keeps its contract, and every combination plays or is refused with its reason.

A plug-in that is installed beside ganlab is tested here like ganlab's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from itertools import combinations
from typing import Any

import pytest
import torch
from support.engine import Engine, images, shares
from torch import nn

from ganlab import testing
from ganlab.contracts.setting import Setting
from ganlab.core import registry
from ganlab.core.errors import GanlabError
from ganlab.testing.attributes import Attributes

LEAST_SIZES = (8, 16, 32)
TINY = {"latent_dim": 8, "shared_dim": 4, "depth": 1, "embedding_dim": 4, "mapping_layers": 1}
CLASSES = 2
BATCH = 2
CLOSE_TO_PAPER = {"vib": {"channels": 4}}
HOLDS_CONSTANT = {"lecam"}  # regularizers with something in their terms that gradients are not to go through

GENERATORS, DISCRIMINATORS = registry.names("generator"), registry.names("discriminator")
AUGMENTATIONS = registry.names("augment")
LOSSES, REGULARIZERS = registry.names("loss"), registry.names("reg")


def make(kind: str, name: str, **given: Any) -> Any:
    """A component as small as its options allow, from a seed."""
    component = registry.load(kind, name)
    known = inspect.signature(component).parameters
    torch.default_generator.manual_seed(0)  # `torch.manual_seed` takes milliseconds: it formats the stack
    return component(**{key: value for key, value in {**TINY, **given}.items() if key in known})


def network(kind: str, name: str, size: int, num_classes: int = 0) -> nn.Module:
    """As narrow as it may be: attention needs some channels."""
    for width in (4, 8, 16):
        try:
            return make(kind, name, image_size=size, image_channels=1, num_classes=num_classes, width=width)
        except ValueError as error:
            refused = error
    raise refused


@cache
def refusal(kind: str, name: str, size: int) -> str | None:
    try:
        network(kind, name, size)
    except ValueError as error:
        return str(error)
    return None


def smallest(*kinds_and_names: tuple[str, str]) -> int:
    """The smallest of a few sizes that all these networks can do; skips with the last refusal if there is none."""
    reasons: list[str | None] = []
    for size in LEAST_SIZES:
        reasons = [refusal(kind, name, size) for kind, name in kinds_and_names]
        if reasons == [None] * len(reasons):
            return size
    reason = next(reason for reason in reasons if reason is not None)
    assert reason, "a refusal must say its reason"
    pytest.skip(f"{kinds_and_names}: {reason}")


def regularizer(name: str) -> Any:
    return make("reg", name, **CLOSE_TO_PAPER.get(name, {}))


def one_iteration(
    generator: Any, discriminator: nn.Module, loss: Any, regularizers: Mapping[str, Any], num_classes: int = 0
) -> None:
    """Play an iteration: every player has a finite gradient, weights stay finite, and no attribute changes."""
    game = registry.load("game", "standard")(generator=generator, discriminator=discriminator, loss=loss)
    setting = Setting(registry.load("prior", "normal")(), generator.latent_dim, label_shares=shares(num_classes))
    try:
        engine = Engine(game, regularizers, rate=1e-6, setting=setting, batch_size=BATCH)
    except (GanlabError, ValueError) as error:
        reason = str(error)
        if reason:  # a refusal must say its reason
            pytest.skip(f"refused: {reason}")
        raise
    before = Attributes(game, regularizers, setting)
    engine.play(images(4, num_classes, generator.image_shape))
    assert before.changed() == []
    assert {player for player, _ in engine.gradients} == set(game.players)
    for player, gradient in engine.gradients:
        assert gradient.isfinite().all(), f"{player}'s gradient is not finite"
        assert gradient.norm() > 0, f"{player} gets no gradient"
    assert engine.weights().isfinite().all()
    for name, value in engine.module.scalars.items():
        assert value.isfinite(), name


def report(skipped: list[str]) -> None:
    """Checks that do not apply are skips that print their reasons, so that CI counts them."""
    if skipped:
        pytest.skip("all other checks passed; not applicable: " + "; ".join(skipped))


@pytest.mark.parametrize("num_classes", [0, CLASSES])
@pytest.mark.parametrize("name", GENERATORS)
def test_every_generator_keeps_its_contract(name: str, num_classes: int) -> None:
    size = smallest(("generator", name))
    report(testing.check_generator(network("generator", name, size, num_classes), batch=2))


@pytest.mark.parametrize("num_classes", [0, CLASSES])
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_every_discriminator_keeps_its_contract(name: str, num_classes: int) -> None:
    size = smallest(("discriminator", name))
    report(testing.check_discriminator(network("discriminator", name, size, num_classes), batch=2))


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_keeps_its_contract(name: str) -> None:
    testing.check_loss(make("loss", name))


@pytest.mark.parametrize("name", REGULARIZERS)
def test_every_regularizer_keeps_its_contract(name: str) -> None:
    report(testing.check_regularizer(regularizer(name), exact_gradient=name not in HOLDS_CONSTANT))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_keeps_its_contract(name: str) -> None:
    report(testing.check_regularizer(make("augment", name)))


@pytest.mark.parametrize("name", REGULARIZERS)
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_every_augmentation_works_with_every_regularizer(augmentation: str, name: str) -> None:
    networks = network("generator", "mlp", 8), network("discriminator", "mlp", 8)
    both = {"augment": make("augment", augmentation), name: regularizer(name)}
    one_iteration(*networks, make("loss", "non_saturating"), both)


# each pair with classes or without, in turns, so that each network plays in both ways
MATCHES = [(g, d, CLASSES * ((i + j) % 2)) for i, g in enumerate(GENERATORS) for j, d in enumerate(DISCRIMINATORS)]


@pytest.mark.parametrize(("generator", "discriminator", "num_classes"), MATCHES)
def test_every_generator_plays_with_every_discriminator(generator: str, discriminator: str, num_classes: int) -> None:
    size = smallest(("generator", generator), ("discriminator", discriminator))
    names = {"generator": generator, "discriminator": discriminator}
    made = {kind: network(kind, name, size, num_classes) for kind, name in names.items()}
    one_iteration(made["generator"], made["discriminator"], make("loss", "non_saturating"), {}, num_classes)


@pytest.mark.parametrize("name", REGULARIZERS)
@pytest.mark.parametrize("discriminator", DISCRIMINATORS)
def test_every_regularizer_works_on_every_discriminator(discriminator: str, name: str) -> None:
    size = smallest(("generator", "mlp"), ("discriminator", discriminator))
    networks = network("generator", "mlp", size, CLASSES), network("discriminator", discriminator, size, CLASSES)
    one_iteration(*networks, make("loss", "hinge"), {name: regularizer(name)}, CLASSES)


@pytest.mark.parametrize("name", REGULARIZERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_works_with_every_regularizer(loss: str, name: str) -> None:
    networks = network("generator", "mlp", 8), network("discriminator", "mlp", 8)
    one_iteration(*networks, make("loss", loss), {name: regularizer(name)})


# each pair in one of its orders, or there would be a minute of them
PAIRS = [pair if i % 2 else pair[::-1] for i, pair in enumerate(combinations(REGULARIZERS, 2))]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_every_two_regularizers_work_together(first: str, second: str) -> None:
    networks = network("generator", "mlp", 8), network("discriminator", "mlp", 8)
    one_iteration(*networks, make("loss", "non_saturating"), {name: regularizer(name) for name in (first, second)})


@pytest.mark.parametrize("name", registry.names("prior"))
def test_every_prior_makes_latents_of_the_asked_shape_that_slices_of_ranks_share(name: str) -> None:
    from ganlab.core.randomness import Stream

    z = make("prior", name)(Stream(0).draw, 5, 3)
    assert z.shape == (5, 3)
    assert z.isfinite().all()
    assert torch.equal(z, make("prior", name)(Stream(0).draw, 5, 3))
    assert not torch.equal(z, make("prior", name)(Stream(1).draw, 5, 3))


@pytest.mark.parametrize("name", registry.names("optimizer"))
def test_every_optimizer_steps_against_the_gradient(name: str) -> None:
    weight = nn.Parameter(torch.tensor([1.0, -1.0]))
    optimizer = registry.load("optimizer", name)([weight], lr=0.1)
    weight.grad = torch.tensor([2.0, -2.0])
    optimizer.step()
    assert 0 < weight[0] < 1
    assert -1 < weight[1] < 0
