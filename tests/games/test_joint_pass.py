"""One pass of the discriminator over fakes and reals: against a plain loop, and against a pass over each."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from support.distributed.cases import FELT, WITH
from support.engine import (
    BATCH,
    LATENTS,
    D,
    Engine,
    G,
    NormalizedDiscriminator,
    NormalizedGenerator,
    distance,
    images,
    shares,
)
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab.contracts.game import UPDATES
from ganlab.contracts.setting import Setting
from ganlab.contracts.turn import Turn
from ganlab.contracts.view import View
from ganlab.core import registry
from ganlab.core.randomness import Stream
from ganlab.games.standard import Standard
from ganlab.layers import spectral_norm
from ganlab.layers.minibatch_stddev import MinibatchStddev
from ganlab.losses.hinge import Hinge
from ganlab.losses.non_saturating import NonSaturating
from ganlab.priors import Normal

CLASSES, RATE = 3, 0.05
MASKED = {"dropout", "lipschitz_consistency"}  # other masks: torch draws one for the whole pass


@pytest.fixture(autouse=True)
def _in_double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def build(one_pass: bool, reg: dict[str, dict[str, Any]] | None = None, **options: Any) -> Engine:
    torch.manual_seed(1)
    setting = Setting(Normal(), LATENTS, shares(CLASSES), every_forward=options.pop("every_forward", False))
    engine = {name: options.pop(name) for name in ("accumulate",) if name in options}
    batch_norm = options.pop("batch_norm", False)
    game = Standard(
        generator=NormalizedGenerator(CLASSES),
        discriminator=options.pop("discriminator", None) or NormalizedDiscriminator(CLASSES, batch_norm),
        loss=options.pop("loss", NonSaturating()),
        one_pass=one_pass,
        **options,
    )
    kinds = {name: "augment" if name == "ada" else "reg" for name in reg or {}}
    made = {name: registry.load(kinds[name], name)(**given) for name, given in (reg or {}).items()}
    return Engine(game, made, rate=RATE, setting=setting, **engine)


def test_ten_iterations_equal_a_plain_loop_of_one_pass() -> None:
    """BigGAN-PyTorch's step: D(cat(G(z), x)), so that σ and batch statistics are common and move once."""
    engine = build(True, {"sn": FELT["sn"]}, batch_norm=True, every_forward=True, loss=Hinge(), discriminator_steps=2)
    networks: list[Any] = [engine.game.generator, engine.game.discriminator]
    generator, discriminator = copy.deepcopy(networks)
    data = images(num_classes=CLASSES)
    served: list[tuple[Tensor, Any]] = []
    engine.watch(lambda turn, view: served.append((view.reals.images, view.reals.labels)) if turn.reals else None)
    engine.play(data, 10)

    def drawn(turn: int, seen: int) -> tuple[Tensor, Tensor]:
        stream = Stream(0, seen, turn, 0)
        y = (stream.draw("labels", (BATCH,), "uniform") * CLASSES).long()
        return Normal()(stream.draw, BATCH, LATENTS), y

    def descend(loss: Tensor, network: nn.Module) -> None:
        weights = list(network.parameters())
        with torch.no_grad():
            for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                weight.sub_(RATE * gradient)

    for iteration in range(10):
        seen = 2 * BATCH * iteration
        for turn in range(2):
            z, y = drawn(turn, seen)
            x, labels = served.pop(0)
            with torch.no_grad():
                fakes = generator(z, y)
            fake, real = discriminator(torch.cat([fakes, x]), torch.cat([y, labels])).chunk(2)
            descend(F.relu(1 - real).mean() + F.relu(1 + fake).mean(), discriminator)
        z, y = drawn(2, seen)
        descend(-discriminator(generator(z, y), y).mean(), generator)
    for ours, plain in zip(networks, (generator, discriminator), strict=True):
        for name, value in plain.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-10, atol=1e-12, msg=name)


@pytest.mark.parametrize("name", [*sorted({*registry.names("reg")} - MASKED), "ada"])
def test_every_regularizer_finds_the_gradients_of_two_passes(name: str) -> None:
    """One pass equals two, as no layer couples the images of a batch and vectors move once a turn."""
    options = {"ada": {"policy": "bg", "p": 0.5, "interval_steps": 1}}.get(name, FELT.get(name, {}))
    reg = {**{other: {} for other in WITH.get(name, ())}, name: options}
    once, twice = (build(flag, reg) for flag in (True, False))
    for engine in (once, twice):
        engine.play(images(num_classes=CLASSES), 2)
    assert len(once.gradients) == len(twice.gradients) >= 4
    for (player, mine), (_, other) in zip(once.gradients, twice.gradients, strict=True):
        assert other.norm() > 0, player
        assert distance(mine, other) < 1e-10, player


@pytest.mark.parametrize("name", sorted(MASKED))
def test_what_draws_masks_trains_in_one_pass(name: str) -> None:
    engine = build(True, {**{other: {} for other in WITH.get(name, ())}, name: FELT.get(name, {})})
    engine.play(images(num_classes=CLASSES), 2)
    assert all(gradient.isfinite().all() and gradient.norm() > 0 for _, gradient in engine.gradients)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_every_update_rule_and_accumulation_have_it(update: str, accumulate: int) -> None:
    options = {"update": update, "accumulate": accumulate, "discriminator_steps": 2}
    once, twice = (build(flag, {"r1": {}, "r2": {}, "sn": {}}, **options) for flag in (True, False))
    for engine in (once, twice):
        engine.play(images(num_classes=CLASSES), 3)
    assert distance(once.weights(), twice.weights()) < 1e-10


def passes(engine: Engine) -> list[int]:
    """Return the number of images of each pass of the discriminator."""
    sizes: list[int] = []
    discriminator: Any = engine.game.discriminator
    discriminator.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    engine.play(images(num_classes=CLASSES), 1)
    return sizes


def test_the_discriminator_is_called_once_a_turn() -> None:
    assert passes(build(True, discriminator_steps=2)) == [2 * BATCH, 2 * BATCH, BATCH]
    assert passes(build(False, discriminator_steps=2)) == [BATCH] * 5
    relativistic = registry.load("loss", "relativistic")()
    assert passes(build(True, loss=relativistic)) == [2 * BATCH, 2 * BATCH], "both kinds in the generator's turn"


def vector_moves(one_pass: bool) -> int:
    """Count the moves of a vector of the discriminator in its turn, with ``state_updates=every_forward``."""
    engine = build(one_pass, {"sn": FELT["sn"]}, every_forward=True)
    found: list[bool] = []
    iterate = spectral_norm._iterate

    def counting(norms: Any, weights: Any) -> Any:
        found.extend(norm is first and norm.stores for norm in norms)
        return iterate(norms, weights)

    discriminator: Any = engine.game.discriminator
    first: Any = spectral_norm.attached(discriminator)[0][0]
    spectral_norm._iterate = counting
    try:
        engine.play(images(num_classes=CLASSES), 1)
    finally:
        spectral_norm._iterate = iterate
    return sum(found)


def test_vectors_move_once_in_one_pass_and_twice_in_two() -> None:
    """One more in the generator's turn."""
    assert (vector_moves(True), vector_moves(False)) == (2, 3)


class Deviant(NormalizedDiscriminator):
    """With the deviation of groups as one more channel."""

    def __init__(self) -> None:
        super().__init__(CLASSES, batch_norm=False)
        self.stddev, self.mix = MinibatchStddev(2), nn.Conv2d(5, 4, 1)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.mix(self.stddev(super().features(x, y)))


def test_groups_of_minibatch_deviation_have_either_fakes_or_reals() -> None:
    once, twice = (build(flag, discriminator=make()) for flag, make in ((True, seeded), (False, seeded)))
    for engine in (once, twice):
        engine.play(images(num_classes=CLASSES), 2)
    assert distance(once.weights(), twice.weights()) < 1e-10


def seeded() -> Deviant:
    torch.manual_seed(2)
    return Deviant()


def test_fakes_of_half_precision_and_reals_of_single_are_judged_together() -> None:
    """Under autocast the generator's images are bfloat16."""
    torch.set_default_dtype(torch.float32)
    engine = build(True, {"r1": {}})
    with torch.autocast("cpu", torch.bfloat16):
        engine.play(images(num_classes=CLASSES), 2)
    assert all(gradient.isfinite().all() and gradient.norm() > 0 for _, gradient in engine.gradients)


class Features:
    """A loss that compares features only."""

    def discriminator(self, *, real_features: Tensor, fake_features: Tensor) -> Tensor:
        return (fake_features - real_features).mean()

    def generator(self, *, fake_logits: Tensor) -> Tensor:
        return -fake_logits.mean()


def test_a_loss_that_does_not_score_both_is_refused() -> None:
    with pytest.raises(ValueError, match="one_pass must be false for a loss that does not score both"):
        build(True, loss=Features())


# --- labels of the fakes


def labels_in_turns(engine: Engine, iterations: int = 1) -> list[tuple[str, Any, Any]]:
    """Return the player, the labels of the fakes, and those of the reals, of each micro-batch."""
    found = []

    def look(turn: Turn, view: View) -> None:
        found.append((turn.players[0], view.fakes().labels, view.reals.labels if turn.reals else None))

    engine.watch(look)
    engine.play(images(num_classes=CLASSES), iterations)
    return found


@pytest.mark.parametrize("accumulate", [1, 2])
def test_fakes_take_the_labels_of_the_reals_in_both_turns(accumulate: int) -> None:
    """GAN_stability's train.py gives one y to both of its steps."""
    engine = build(False, fake_labels="reals", discriminator_steps=2, accumulate=accumulate)
    found = labels_in_turns(engine)
    assert [player for player, *_ in found] == ["discriminator"] * 2 * accumulate + ["generator"] * accumulate
    for _, fake, real in found:
        assert torch.equal(fake, real)
    last, generators = torch.cat([real for _, _, real in found]).split(BATCH)[1:]
    assert torch.equal(last, generators)
    assert len(last.unique()) > 1


def test_drawn_labels_are_others() -> None:
    found = labels_in_turns(build(False))
    assert not torch.equal(found[0][1], found[0][2])
    assert found[1][2] is None


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_generators_turn_takes_the_latents_and_labels_of_the_last_one(accumulate: int) -> None:
    """Each turn of the discriminator draws its own; so does the generator's by default."""
    for same in (True, False):
        engine = build(False, same_latents=same, discriminator_steps=2, accumulate=accumulate)
        found: list[Any] = []

        def look(turn: Turn, view: View, found: list[Any] = found) -> None:
            found.append((view.z, view.fakes().labels))

        engine.watch(look)
        engine.play(images(num_classes=CLASSES), 2)
        for start in (0, 3 * accumulate):
            pairs = found[start : start + 3 * accumulate]
            first, last, generators = (pairs[i * accumulate : (i + 1) * accumulate] for i in range(3))
            assert all(torch.equal(a, c) is same for (a, _), (c, _) in zip(last, generators, strict=True))
            assert not any(torch.equal(a, c) for (a, _), (c, _) in zip(first, last, strict=True))
            labels = [torch.cat([y for _, y in turn]) for turn in (last, generators)]
            assert torch.equal(*labels) is same
        assert not torch.equal(found[0][0], found[3 * accumulate][0])


def test_uniform_labels_do_not_follow_the_shares_of_the_data() -> None:
    for kind, counts in (("drawn", [True, True, False]), ("uniform", [True, True, True])):
        engine = build(False, fake_labels=kind)
        engine.module.setting.label_shares = torch.tensor([0.5, 0.5, 0.0])
        labels = torch.cat([fake for _, fake, _ in labels_in_turns(engine, 10)])
        assert (labels.bincount(minlength=3) > 20).tolist() == counts


def test_uniform_labels_are_those_drawn_from_data_of_which_each_class_has_as_much() -> None:
    """The same draws and images: equal where the shares are, to the last bit, and other weights where not."""

    def trained(kind: str, shares: list[float]) -> torch.Tensor:
        engine = build(False, fake_labels=kind)
        engine.module.setting.label_shares = torch.tensor(shares)
        engine.play(images(num_classes=CLASSES), 3)
        return torch.cat([p.detach().flatten() for p in engine.module.game.parameters()])

    uniform = trained("uniform", [0.7, 0.2, 0.1])
    assert torch.equal(uniform, trained("drawn", [1 / 3] * 3))
    assert not torch.equal(uniform, trained("drawn", [0.7, 0.2, 0.1]))


def test_an_unconditional_game_has_no_labels_to_take() -> None:
    torch.manual_seed(0)
    engine = Engine(Standard(generator=G(), discriminator=D(), loss=NonSaturating(), fake_labels="reals"))
    engine.iterate()
    assert len(engine.gradients) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fake_labels": "real"}, r"fake_labels must be one of drawn, uniform, reals, got 'real'\. Did you mean"),
        ({"fake_labels": "reals", "generator_batch": 2.0}, "generator_batch must be 1 for fake_labels=reals, got 2"),
        ({"same_latents": True, "generator_batch": 2.0}, "generator_batch must be 1 for same_latents=true, got 2"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(False, **options)
