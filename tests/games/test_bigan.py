"""BiGAN: what its players step with, by hand; and how any discriminator judges pairs."""

from __future__ import annotations

import copy

import pytest
import torch
from support.engine import BATCH, LATENTS, D, E, Engine, G, points
from torch import Tensor
from torch.nn import functional as F

from ganlab.core.randomness import Stream
from ganlab.games.bigan import BiGAN, Pairs
from ganlab.losses.non_saturating import NonSaturating
from ganlab.losses.wasserstein import Wasserstein
from ganlab.models import dcgan, mlp
from ganlab.regularizers.gradient_penalty import GradientPenalty
from ganlab.testing.toys import ToyDiscriminator, ToyGenerator, rehearse


def game(loss: object | None = None, **options: object) -> BiGAN:
    torch.manual_seed(0)
    parts = {"generator": G(), "discriminator": D(), "encoder": E()}
    return BiGAN(**parts, loss=loss or NonSaturating(), width=5, **options)  # type: ignore[arg-type]


def step(played: BiGAN, before: BiGAN, names: tuple[str, ...]) -> list[Tensor]:
    """The gradients: what SGD of rate 1 subtracted."""
    return [
        b.detach() - a.detach()
        for name in names
        for b, a in zip(getattr(before, name).parameters(), getattr(played, name).parameters(), strict=True)
    ]


def assert_gradients(found: list[Tensor], loss: Tensor, before: BiGAN, names: tuple[str, ...]) -> None:
    parameters = [p for name in names for p in getattr(before, name).parameters()]
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    expected = [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, parameters, strict=True)]
    assert any(g.any() for g in expected)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("stochastic", [False, True])
def test_d_tells_pairs_apart_and_g_and_e_minimise_the_same_with_labels_swapped(stochastic: bool) -> None:
    """arXiv:1605.09782: D: -log s(D(x, E(x))) - log(1 - s(D(G(z), z))); G and E: the inverse objective. The
    code of a real is E's mean, or with noise of the turn's own key a sample."""
    played = game(stochastic=stochastic)
    before = copy.deepcopy(played)
    engine = Engine(played)
    engine.iterate()
    x = points(0)

    def code(turn: int) -> Tensor:
        mean, log_variance = before.encoder(x)
        noise = Stream(0, 0, turn, 0).draw("codes", (BATCH, LATENTS))
        return mean + (log_variance / 2).exp() * noise if stochastic else mean

    z = engine.z(0)
    real = before.discriminator(x, None, code(0).detach())
    fake = before.discriminator(before.generator(z).detach(), None, z)
    loss = F.softplus(-real).mean() + F.softplus(fake).mean()
    assert_gradients(step(played, before, ("discriminator",)), loss, before, ("discriminator",))
    z, judge = engine.z(1), copy.deepcopy(played.discriminator)  # as it is after its step
    real, fake = judge(x, None, code(1)), judge(before.generator(z), None, z)
    loss = F.softplus(real).mean() + F.softplus(-fake).mean()
    both = ("generator", "encoder")
    assert_gradients(step(played, before, both), loss, before, both)


def test_with_the_wasserstein_loss_g_and_e_minimise_minus_what_d_minimises() -> None:
    """One turn's value for both: arXiv:1605.09782, eq. 3, is a game of one value function."""
    torch.manual_seed(0)
    encoder = mlp.Encoder(8, 3, 4, width=5, depth=1)
    made = BiGAN(generator=ToyGenerator(), discriminator=ToyDiscriminator(), encoder=encoder, loss=Wasserstein())
    first, second = (rehearse(made, [], turn) for turn in made.turns())
    total = first["discriminator"]["adversarial"] + second["generator"]["adversarial"]
    assert float(total.detach()) == pytest.approx(0, abs=1e-6)
    assert float(first["discriminator"]["adversarial"].detach()) != pytest.approx(0, abs=1e-3)


def test_interpolates_are_of_pairs_and_the_gradient_is_that_by_the_image() -> None:
    played = game(Wasserstein())
    before = copy.deepcopy(played)
    engine = Engine(played, {"gp": GradientPenalty(weight=1.0)})
    engine.iterate()
    x, z = points(0), engine.z(0)
    a = Stream(0, 0, 0, 0).draw("interpolation", (BATCH,), "uniform")[:, None]
    codes = before.encoder(x)[0].detach()
    fake = before.generator(z).detach()
    u = (a * x + (1 - a) * fake).requires_grad_()
    critic = before.discriminator
    (slope,) = torch.autograd.grad(critic(u, None, a * codes + (1 - a) * z).sum(), u, create_graph=True)
    loss = critic(fake, None, z).mean() - critic(x, None, codes).mean() + (slope.norm(dim=1) - 1).square().mean()
    assert_gradients(step(played, before, ("discriminator",)), loss, before, ("discriminator",))


def test_every_position_of_a_map_is_judged_beside_the_code() -> None:
    torch.manual_seed(0)
    judge = Pairs(dcgan.Discriminator(16, 1, 3, width=2, batch_norm=False), LATENTS, 5)
    x, y, z = torch.randn(4, 1, 16, 16), torch.tensor([0, 1, 2, 0]), torch.randn(4, LATENTS)
    features = judge.features(x, y, z)
    assert features.shape == (4, judge.feature_channels, 4, 4)
    plain = judge.discriminator.features(x, y)
    for i, j in ((0, 0), (3, 1)):
        f = plain[:, :, i, j]
        h = F.leaky_relu(judge.both(F.leaky_relu(judge.image(f) + judge.code(z), 0.2)), 0.2)
        torch.testing.assert_close(features[:, :, i, j], f + judge.back(h))
    torch.testing.assert_close(judge(x, y, z), judge.discriminator.head(features, y))


def test_a_discriminator_that_hides_its_channels_is_refused_with_what_to_add() -> None:
    class Silent(D):
        feature_channels = None  # type: ignore[assignment]

    with pytest.raises(ValueError, match="Silent must say how many channels its features have: give it feature_channe"):
        BiGAN(generator=G(), discriminator=Silent(), encoder=E(), loss=NonSaturating())
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        BiGAN(generator=G(), discriminator=D(), encoder=E(), loss=NonSaturating(), width=0)
