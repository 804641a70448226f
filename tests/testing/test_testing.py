"""The contract checks let right components pass and say what is wrong with the others."""

import copy
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab import testing
from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core.randomness import noise
from ganlab.losses.non_saturating import NonSaturating
from ganlab.testing import ToyDiscriminator, ToyGenerator


def test_toy_networks_keep_their_contracts() -> None:
    for shape in ((3, 8, 8), (2,)):
        skipped = testing.check_generator(ToyGenerator(shape)) + testing.check_discriminator(ToyDiscriminator(shape))
        assert len(skipped) == (2 if len(shape) == 1 else 0)


def test_checks_change_neither_what_they_are_given_nor_torchs_generator() -> None:
    checks: tuple[tuple[Callable[[Any], object], Any], ...] = (
        (testing.check_generator, ToyGenerator()),
        (testing.check_discriminator, ToyDiscriminator()),
        (testing.check_regularizer, Regularizer()),
        (testing.check_loss, NonSaturating()),
    )
    for check, module in checks:
        before, random = copy.deepcopy(module), torch.random.get_rng_state()
        check(module)
        assert torch.equal(random, torch.random.get_rng_state())
        if isinstance(module, nn.Module):
            assert module.training
            for name, tensor in module.state_dict().items():
                assert torch.equal(tensor, before.state_dict()[name])


def loss(discriminator: Callable[..., Tensor] | None = None, generator: Callable[..., Tensor] | None = None) -> Any:
    """Non-saturating, but for one of its two functions."""
    made: Any = type("Loss", (), {})()
    right = NonSaturating()
    made.discriminator = discriminator or right.discriminator
    made.generator = generator or right.generator
    return made


def soft(t: Tensor) -> Tensor:
    return F.softplus(t, threshold=40.0)


BROKEN_LOSSES = {
    "sign": (
        loss(generator=lambda *, real_logits=None, fake_logits: soft(fake_logits).mean()),
        "generator's loss must fall as fake_logits rise",
    ),
    "roles": (
        loss(discriminator=lambda *, real_logits, fake_logits: (soft(real_logits) + soft(-fake_logits)).mean()),
        "discriminator's loss must fall as real_logits rise",
    ),
    "forgets the reals": (
        loss(discriminator=lambda *, fake_logits, real_logits=None: soft(fake_logits).mean()),
        "does not depend on real_logits",
    ),
    "sum": (
        loss(generator=lambda *, real_logits=None, fake_logits: soft(-fake_logits).sum()),
        "a loss is a mean over images",
    ),
    "no reduction": (
        loss(generator=lambda *, real_logits=None, fake_logits: soft(-fake_logits)),
        "a loss must return a scalar",
    ),
    "epsilon in a logarithm": (
        loss(generator=lambda *, real_logits=None, fake_logits: -(fake_logits.sigmoid() + 1e-8).log().mean()),
        "generator's loss must fall as fake_logits rise: its gradient is",
    ),
    "logarithm of a sigmoid": (
        loss(generator=lambda *, real_logits=None, fake_logits: (1 - fake_logits.sigmoid()).log().mean()),
        "generator",
    ),
    "saturating": (
        loss(generator=lambda *, real_logits=None, fake_logits: -soft(fake_logits).mean()),
        "generator's loss must fall as fake_logits rise: its gradient is -9.36e-14",
    ),
    "detached": (
        loss(generator=lambda *, fake_logits: (soft(-fake_logits) + 0.1 * (fake_logits - fake_logits.detach())).mean()),
        "does not agree with its derivatives",
    ),
    "dtype": (
        loss(generator=lambda *, real_logits=None, fake_logits: soft(-fake_logits).mean().float()),
        "generator must keep torch.float64",
    ),
    "positional": (
        loss(generator=lambda real_logits, fake_logits: soft(-fake_logits).mean()),
        "real_logits must be keyword-only",
    ),
    "unknown": (
        loss(generator=lambda *, fake_logits, moon: soft(-fake_logits).mean()),
        "a loss may ask for .* not for moon",
    ),
}


@pytest.mark.parametrize(("broken", "message"), BROKEN_LOSSES.values(), ids=BROKEN_LOSSES)
def test_a_broken_loss_is_found(broken: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        testing.check_loss(broken)


def test_a_loss_that_says_so_may_saturate() -> None:
    saturating = loss(generator=lambda *, real_logits=None, fake_logits: -soft(fake_logits).mean())
    saturating.saturates = ("generator",)
    testing.check_loss(saturating)


def test_a_loss_may_ask_for_images_and_features() -> None:
    def generator(
        *, fake_logits: Tensor, real_images: Tensor, fake_images: Tensor, real_features: Tensor, fake_features: Tensor
    ) -> Tensor:
        distance = (real_images - fake_images).square().mean() + (real_features - fake_features).square().mean()
        return soft(-fake_logits).mean() + distance

    testing.check_loss(loss(generator=generator))


class Alone(Regularizer):
    addresses: tuple[Address, ...] = (Address("discriminator"),)

    def terms(self, player: str, view: View) -> Terms:
        return {"alone": self.value(view)}  # type: ignore[operator]


class Detached(Alone):
    def value(self, view: View) -> Tensor:
        logits = view.logits(view.reals)
        return (logits * logits.detach()).mean()


class Vector(Alone):
    def value(self, view: View) -> Tensor:
        return view.logits(view.reals)


class Single(Alone):
    def value(self, view: View) -> Tensor:
        return view.logits(view.reals).square().mean().float()


class Infinite(Alone):
    def value(self, view: View) -> Tensor:
        return view.logits(view.reals).mean() / 0


class Unkeyed(Alone):
    random = torch.Generator()

    def value(self, view: View) -> Tensor:
        return view.logits(view.reals).mean() * torch.rand((), generator=self.random)


class Amnesiac(Alone):
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()), persistent=False)  # lost by a state dict

    def value(self, view: View) -> Tensor:
        return view.logits(view.reals).mean() * (1 + self.count)

    def after_step(self, player: str) -> None:
        self.count += 1


class Counting(Alone):
    count = 0

    def value(self, view: View) -> Tensor:
        self.count += 1  # no tensor: a recorded turn would not count
        return view.logits(view.reals).mean()


class Hoarding(Alone):
    def __init__(self) -> None:
        super().__init__()
        self.means: list[Tensor] = []

    def value(self, view: View) -> Tensor:
        mean = view.logits(view.reals).mean()
        self.means.append(mean.detach())
        return mean


class Remembering(Alone):
    def __init__(self) -> None:
        super().__init__()
        self.lists: dict[str, list[nn.Parameter]] = {}

    def value(self, view: View) -> Tensor:
        own = self.lists.setdefault("own", list(view.game.players["discriminator"].parameters()))
        return own[0].square().sum()


class Exploding(Regularizer):
    addresses = (Address("discriminator"),)

    def gradients(self, player: str, gradients: list[Tensor]) -> None:
        for gradient in gradients:
            gradient.fill_(float("nan"))


class Elsewhere(Alone):
    addresses = (Address("encoder"),)


class Nowhere(Alone):
    addresses = ()


class Turnless(Alone):
    addresses = (Address("discriminator", "turnless", interval_steps=2),)

    def attach(self, game: Game) -> None:
        pass  # without the turn of its own


class Rude(Regularizer):
    def attach(self, game: Game) -> None:
        raise ValueError


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Detached, "its gradient along a direction is .*, differences give"),
        (Vector, "alone must be a scalar, got shape"),
        (Single, "alone must keep float64, got torch.float32"),
        (Infinite, "alone is (inf|-inf|nan)"),
        (Unkeyed, "differs between two evaluations with one key: draw through view.draw"),
        (Amnesiac, "alone after a state-dict round trip"),
        (Counting, "changes Counting.count: state that moves in a turn belongs in buffers"),
        (Hoarding, "changes Hoarding.means: state that moves in a turn belongs in buffers"),
        (Remembering, "changes Remembering.lists: state that moves in a turn belongs in buffers"),
        (Exploding, "gradients are not finite"),
        (Nowhere, "Nowhere.terms needs an address: set the attribute addresses"),
        (Turnless, r"Turnless.attach must call super\(\).attach\(game\)"),
        (Rude, "a refusal must say its reason"),
    ],
)
def test_a_broken_regularizer_is_found(broken: type[Regularizer], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        testing.check_regularizer(broken())


def test_a_regularizer_may_hold_something_constant_if_it_says_so() -> None:
    assert testing.check_regularizer(Detached(), exact_gradient=False) == []


def test_a_refusal_is_reported_with_its_reason() -> None:
    class Images(Regularizer):
        def attach(self, game: Game) -> None:
            if len(cast(Any, game.generator).image_shape) < 3:
                raise ValueError("it needs images")

    assert testing.check_regularizer(Images()) == ["a game with images of shape (2,): it needs images"]
    lacking = "it needs an encoder, but this game has only discriminator, generator."
    assert testing.check_regularizer(Elsewhere()) == [
        f"a game with images of shape {shape}: {lacking}" for shape in ((3, 8, 8), (2,))
    ]


class Plain(ToyGenerator):
    """The toy generator, but for one line."""

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.change(super().forward(z, y))

    def change(self, x: Tensor) -> Tensor:
        return x


class Cut(Plain):
    def change(self, x: Tensor) -> Tensor:
        return x[:, :, 1:]


class Rounded(Plain):
    def change(self, x: Tensor) -> Tensor:
        return x.float()


class Noisy(Plain):
    def change(self, x: Tensor) -> Tensor:
        return x + 0.1 * noise("noise", x, x.shape, per_rank=True)


class Unseeded(Plain):
    random = torch.Generator()

    def change(self, x: Tensor) -> Tensor:
        return x + torch.rand(x.shape, generator=self.random)


class BatchBound(Plain):
    def change(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


class Restless(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.passes: Tensor
        self.register_buffer("passes", torch.zeros(()))

    def change(self, x: Tensor) -> Tensor:
        self.passes += 1
        return x


class Tallying(Plain):
    tally = 0

    def change(self, x: Tensor) -> Tensor:
        self.tally += 1
        return x


class Constant(Plain):
    def change(self, x: Tensor) -> Tensor:
        return x.detach() + 0 * x


class Deaf(Plain):
    num_classes = 3


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Cut, r"gave \(3, 3, 7, 8\), expected \(3, 3, 8, 8\)"),
        (Rounded, "must keep torch.float64, gave torch.float32"),
        (Unseeded, "two passes with one key differ: draw through ganlab.core.randomness.noise"),
        (BatchBound, "an image made alone, in evaluation"),
        (Restless, "buffers moved although layers.state.moves.. was false: passes"),
        (Tallying, "a pass changes Tallying.tally: state that moves belongs in buffers"),
        (Constant, "no parameter gets a gradient"),
        (Deaf, "the output does not depend on which of the 3 labels is given"),
    ],
)
def test_a_broken_generator_is_found(
    broken: type[BatchBound]
    | type[Constant]
    | type[Cut]
    | type[Deaf]
    | type[Restless]
    | type[Tallying]
    | type[Rounded]
    | type[Unseeded],
    message: str,
) -> None:
    with pytest.raises(AssertionError, match=message):
        testing.check_generator(broken())


def test_a_generator_may_draw_keyed_noise() -> None:
    [reason] = testing.check_generator(Noisy())
    assert "the generator draws noise" in reason


class TwoDimensional(ToyDiscriminator):
    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return super().head(features, y)[:, None]


class Apart(ToyDiscriminator):
    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return 2 * super().forward(x, y)


class Miscounted(ToyDiscriminator):
    def __init__(self) -> None:
        super().__init__()
        self.feature_channels = 7


class Square(torch.autograd.Function):
    """x^2, with a backward pass that cannot be differentiated rightly."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x.detach() * grad


class OnceOnly(ToyDiscriminator):
    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return Square.apply(self.body(x))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (TwoDimensional, r"gave \(4, 1\), expected \(4,\)"),
        (Apart, "against forward"),
        (Miscounted, "feature_channels is 7, but features have 5 channels"),
        (OnceOnly, "the squared norm of the input gradient: its gradient along a direction is"),
    ],
)
def test_a_broken_discriminator_is_found(
    broken: type[Apart] | type[Miscounted] | type[OnceOnly] | type[TwoDimensional], message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        testing.check_discriminator(broken())


def test_a_discriminator_without_a_head_is_checked_as_it_is() -> None:
    class Energy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(3, 4)

        def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            return F.softplus(self.body(x)).sum(1)

    with pytest.raises(AssertionError, match="say image_shape"):
        testing.check_discriminator(Energy())
    assert len(testing.check_discriminator(Energy(), image_shape=(3,))) == 2
