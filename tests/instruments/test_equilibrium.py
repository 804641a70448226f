"""Eigenvalues of games, in closed form and against the Jacobian that autograd makes."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from support.engine import BATCH, Engine, NormalizedDiscriminator, NormalizedGenerator, images, pair, points
from support.instruments import measured, subject
from torch import Tensor, nn
from torch.func import functional_call, jacrev
from torch.nn import functional as F

from ganlab.contracts.game import Game
from ganlab.contracts.instrument import Field
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Turn
from ganlab.core.randomness import Stream
from ganlab.engine import field
from ganlab.engine.reals import Batch
from ganlab.games.standard import Standard
from ganlab.instruments.equilibrium import Equilibrium
from ganlab.losses.non_saturating import NonSaturating
from ganlab.losses.wasserstein import Wasserstein
from ganlab.priors import Normal
from ganlab.regularizers.gradient_penalty import GradientPenalty
from ganlab.regularizers.l2 import L2
from ganlab.regularizers.r1 import R1
from ganlab.regularizers.sn import SpectralNormalization


class Point(nn.Module):
    """A generator of one point."""

    latent_dim, num_classes, image_shape = 3, 0, (2,)

    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.tensor([0.5, -0.25]))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.point.expand(len(z), -1)


class Slope(nn.Module):
    """A linear discriminator."""

    num_classes, feature_channels = 0, 2

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[0.3, 0.4]]))

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return (features @ self.weight.mT).squeeze(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


def around(engine: Engine, *reals: Tensor) -> Any:
    """Return a game as the instrument sees it, with one iteration's real images."""

    def evaluating() -> AbstractContextManager[Field]:
        batch: Batch = {"images": list(reals), "labels": [None] * len(reals)}
        return field.evaluating(engine.module, [batch])

    return subject(engine.game, vector_field=evaluating)


def of(game: Game, *regularizers: Regularizer, **options: int) -> dict[str, float]:
    engine = Engine(game, {str(i): each for i, each in enumerate(regularizers)})
    return measured(Equilibrium(**options), around(engine, points(0).double()))


@pytest.mark.parametrize("damping", [0.0, 0.6, 3.0])
@pytest.mark.parametrize("given", [False, True])
def test_a_bilinear_game_rotates_and_a_penalty_damps_it(damping: float, given: bool) -> None:
    """D(x) = φ·x and G = θ under Wasserstein losses: v = (θ - E x + γφ, -φ) with R1, or with L2, which gives its
    gradient itself. So λ² - γλ + 1 = 0 for each coordinate."""
    regularizer = L2(weight=damping / 2) if given else R1(gamma=damping)
    found = of(Standard(generator=Point(), discriminator=Slope(), loss=Wasserstein()), regularizer)
    values = [damping / 2 + sign * complex(damping**2 / 4 - 1) ** 0.5 for sign in (1, -1)]
    for i in range(sum(name.startswith("real") for name in found)):
        expected = min(values, key=lambda value: abs(value - complex(found[f"real{i}"], found[f"imaginary{i}"])))
        assert found[f"real{i}"] == pytest.approx(expected.real, abs=1e-6)
        assert found[f"imaginary{i}"] == pytest.approx(expected.imag, abs=1e-6)
        assert found[f"error{i}"] < 1e-6
    assert complex(found["real0"], found["imaginary0"]) == pytest.approx(values[0], abs=1e-6)
    assert found["rotation"] == pytest.approx(values[0].imag / abs(values[0]), abs=1e-6)
    assert found["least_real"] == pytest.approx(values[1].real, abs=1e-6)
    rates = [2 * value.real / abs(value) ** 2 for value in values]
    assert found["largest_rate"] == pytest.approx(min(rates), abs=1e-5)
    if damping < 2:  # λ times the generator's part is minus the discriminator's, and |λ| is 1
        assert found["generator/share0"] == pytest.approx(0.5, abs=1e-6)
    shares = found["generator/share0"] + found["discriminator/share0"]
    assert shares == pytest.approx(1)
    assert found["generator/gradient"] == pytest.approx(0.5)


def test_it_is_the_jacobian_of_the_training_game_points_of_a_penalty_included() -> None:
    """The same v written by hand. No gradient of a turn goes from the discriminator's penalty to the generator, but v
    depends on it: the points lie between real and generated ones."""
    generator, discriminator = pair()
    game = Standard(generator=generator, discriminator=discriminator, loss=NonSaturating())
    engine, reals = Engine(game, {"gradient_penalty": GradientPenalty(weight=10.0)}), points(3).double()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    streams = [Stream(0, 0, index, 0) for index in range(2)]
    z = [Normal()(stream.draw, BATCH, 3) for stream in streams]
    share = streams[0].draw("interpolation", (BATCH,), "uniform")[:, None]
    torch.set_default_dtype(before)
    shapes = [(n, p.shape) for net in (discriminator, generator) for n, p in net.named_parameters()]
    count = len(list(discriminator.parameters()))

    def v(weights: Tensor) -> Tensor:
        parts = [
            x.view(shape) for x, (_, shape) in zip(weights.split([s.numel() for _, s in shapes]), shapes, strict=True)
        ]
        named = [(name, x) for (name, _), x in zip(shapes, parts, strict=True)]
        d, g = dict(named[:count]), dict(named[count:])

        def fake(g: dict[str, Tensor], turn: int) -> Tensor:
            return functional_call(generator, g, (z[turn],))

        def judge(d: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(discriminator, d, (x,))

        def of_discriminator(d: dict[str, Tensor]) -> Tensor:
            made = fake(g, 0)
            slope = torch.func.grad(lambda x: judge(d, x).sum())(torch.lerp(made, reals, share))
            penalty = 10.0 * (slope.norm(dim=1) - 1).square().mean()
            return F.softplus(-judge(d, reals)).mean() + F.softplus(judge(d, made)).mean() + penalty

        def of_generator(g: dict[str, Tensor]) -> Tensor:
            return F.softplus(-judge(d, fake(g, 1))).mean()

        gradients = [torch.func.grad(of_discriminator)(d), torch.func.grad(of_generator)(g)]
        return torch.cat([x.reshape(-1) for each in gradients for x in each.values()])

    with around(engine, reals).vector_field() as evaluated:
        weights = evaluated.weights
        assert list(evaluated.sizes) == ["discriminator", "generator"]
        torch.testing.assert_close(evaluated(weights), v(weights))
        expected = torch.linalg.eigvals(jacrev(v)(weights))
    expected = expected[expected.imag >= 0]
    expected = expected[torch.argsort(expected.abs(), descending=True)][:5]
    found = measured(Equilibrium(values=5, depth=len(weights)), around(engine, reals))
    for i, value in enumerate(expected):
        assert found[f"real{i}"] == pytest.approx(value.real.item(), abs=1e-5)
        assert found[f"imaginary{i}"] == pytest.approx(value.imag.item(), abs=1e-5)


def test_it_leaves_the_module_as_it_was_and_gives_the_same_numbers_twice() -> None:
    torch.manual_seed(0)
    game = Standard(generator=NormalizedGenerator(), discriminator=NormalizedDiscriminator(), loss=NonSaturating())
    engine = Engine(game, {"sn": SpectralNormalization(), "r1": R1(interval_steps=3)})
    engine.play(images(), 2)
    module, reals = engine.module, images().pixels[:BATCH]
    state = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [each.training for each in module.modules()]
    progress = module.progress
    with around(engine, reals, reals).vector_field() as v:
        assert torch.equal(v(v.weights), v(v.weights)), "vectors of spectral norm begin where they were"
    found = measured(Equilibrium(values=2, depth=4), around(engine, reals, reals))
    assert all(math.isfinite(value) for value in found.values())
    after = module.state_dict()
    assert all(value.dtype == state[name].dtype and torch.equal(value, state[name]) for name, value in after.items())
    assert modes == [each.training for each in module.modules()]
    assert module.progress is progress
    assert torch.get_default_dtype() == torch.float32
    assert all(p.grad is None for p in module.parameters())
    assert measured(Equilibrium(values=2, depth=4), around(engine, reals, reals)) == found


def test_a_lazy_turn_counts_for_as_much_as_a_regularizer_in_every_iteration() -> None:
    every, lazy = (
        of(Standard(generator=Point(), discriminator=Slope(), loss=Wasserstein()), R1(gamma=3.0, interval_steps=n))
        for n in (1, 4)
    )
    assert lazy == pytest.approx(every, abs=1e-6)


def test_repeated_turns_count_once() -> None:
    class Twice(Standard):
        def turns(self) -> list[Turn]:
            from dataclasses import replace

            first, *others = super().turns()
            return [replace(first, repeat=2), *others]

    engine = Engine(Twice(generator=Point(), discriminator=Slope(), loss=Wasserstein()), {})
    found = measured(Equilibrium(), around(engine, points(0).double(), points(1).double()))
    assert found["imaginary0"] == pytest.approx(1.0, abs=1e-6)


def test_in_training_it_is_refused() -> None:
    game = Standard(generator=Point(), discriminator=Slope(), loss=Wasserstein())
    with pytest.raises(ValueError, match="it costs as much as 80 iterations, so it measures checkpoints afterwards"):
        Equilibrium().prepare(subject(game))
    with pytest.raises(ValueError, match=r"depth must be at least 6, got 5"):
        Equilibrium(values=6, depth=5)
