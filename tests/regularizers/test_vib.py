"""The variational discriminator bottleneck: arXiv:1810.00821."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.rehearsals import GENERATOR, Linear, Rehearsal
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from ganlab.contracts.pending import Pending
from ganlab.contracts.turn import Turn
from ganlab.core.errors import GanlabError
from ganlab.models import gan_stability
from ganlab.regularizers.r1 import R1
from ganlab.regularizers.vib import VariationalInformationBottleneck, divergence, pointwise
from ganlab.testing import ToyDiscriminator, check_regularizer, toy_game


@pytest.mark.parametrize("generator_sees", ["mean", "sample"])
def test_it_keeps_the_contract(generator_sees: str) -> None:
    assert check_regularizer(VariationalInformationBottleneck(channels=3, generator_sees=generator_sees)) == []


@pytest.mark.parametrize("shape", [(5, 3, 4, 4), (5, 3)])
def test_the_divergence_sums_channels_and_averages_positions_and_images(shape: tuple[int, ...]) -> None:
    """Against torch.distributions' KL(N(mean, std) || N(0, 1)), with log(std), not log(variance)."""
    mean, log_std = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = kl_divergence(Normal(mean, log_std.exp()), Normal(0.0, 1.0)).sum(1).mean()
    assert_close(divergence(mean, log_std), expected)
    assert divergence(torch.zeros(shape), torch.zeros(shape)) == 0


def test_in_half_precision_the_divergence_is_taken_in_float32() -> None:
    mean, log_std = torch.full((2, 256), 3.0, dtype=torch.bfloat16), torch.zeros(2, 256, dtype=torch.bfloat16)
    assert_close(divergence(mean, log_std), torch.tensor(256 * 4.5))


@pytest.mark.parametrize("image_shape", [(2, 8, 8), (2,)])
def test_it_equals_a_loop_written_from_the_paper(image_shape: tuple[int, ...]) -> None:
    """code = mean + exp(log_std) noise, head(back(leaky_relu(code))); beta (1/2 KL_real + 1/2 KL_fake - I_c)."""
    regularizer = VariationalInformationBottleneck(channels=3, information=0.2, initial_beta=0.7)
    play = Rehearsal(ToyDiscriminator(image_shape), regularizer, image_shape=image_shape)
    view = play.view()
    value = play.term("vib", view=view)
    net, discriminator, keyed = regularizer.bottleneck, play.discriminator, play.view()
    assert net.back is not None
    divergences, logits = [], []
    for role, images in (("real", play.reals), ("fake", view.fakes(grad=False).images.detach())):
        features = discriminator.features(images)
        at = features.movedim(1, -1)  # (B, ..., C)
        mean, std = at @ net.mean.weight.T + net.mean.bias, (at @ net.log_std.weight.T + net.log_std.bias).exp()
        divergences.append(kl_divergence(Normal(mean, std), Normal(0.0, 1.0)).sum(-1).mean())
        noise = keyed.draw(f"vib of {role}", mean.movedim(-1, 1).shape).movedim(1, -1)
        code = mean + std * noise
        code = torch.where(code > 0, code, 0.2 * code)
        logits.append(discriminator.head((code @ net.back.weight.T + net.back.bias).movedim(-1, 1)))
    assert_close(value, 0.7 * (sum(divergences) / 2 - 0.2))
    assert_close(list(view.scores()), logits)


def test_in_the_published_form_the_discriminator_is_the_published_network() -> None:
    """As many parameters as in the authors' code (cifar10_vgan.1: 779,361), and logits fc(leaky_relu(code))."""
    regularizer = VariationalInformationBottleneck(form="published", generator_sees="sample")
    discriminator = gan_stability.Discriminator(32, width=32, largest_width=256)
    play = Rehearsal(discriminator, regularizer, image_shape=(3, 32, 32))
    assert sum(p.numel() for p in play.game.players["discriminator"].parameters()) == 779_361
    view, keyed = play.view(), play.view()
    net, features = regularizer.bottleneck, discriminator.features(play.reals)
    noise = keyed.draw("vib of real", features.shape).double()
    code = pointwise(net.mean, features) + pointwise(net.log_std, features).exp() * noise
    expected = (
        nn.functional.leaky_relu(code, 0.2).flatten(1) @ discriminator.linear.weight.T + discriminator.linear.bias
    )
    assert_close(view.logits(view.reals), expected.squeeze(1))


def test_the_published_form_wants_a_code_as_wide_as_the_features() -> None:
    with pytest.raises(GanlabError, match=r"takes 5 channels: leave reg\.vib\.channels out, or set reg\.vib"):
        VariationalInformationBottleneck(form="published", channels=6).attach(toy_game())
    game = toy_game()
    VariationalInformationBottleneck(form="published", channels=5).attach(game)
    assert sum(p.numel() for p in game.players["discriminator"].modules["vib"].parameters()) == 2 * (5 * 5 + 5)


def test_a_position_of_a_map_passes_like_a_vector() -> None:
    """The maps are 1x1 convolutions."""
    layer, x = nn.Linear(3, 5), torch.randn(2, 3, 4, 6)
    assert_close(pointwise(layer, x), nn.functional.conv2d(x, layer.weight[..., None, None], layer.bias))
    assert_close(pointwise(layer, x[..., 0, 0]), layer(x[..., 0, 0]))


def step(regularizer: VariationalInformationBottleneck, *divergences: float) -> float:
    """Return beta after a step of micro-batches with these divergences: those of N(sqrt(2 d), 1)."""
    pending = Pending()
    for value in divergences:
        mean = torch.full((1, 1), (2 * value) ** 0.5)
        view = SimpleNamespace(
            notes={(regularizer, "real"): (mean, torch.zeros(1, 1))}, update=pending.add, note=lambda *_: None
        )
        regularizer.terms("discriminator", view)  # type: ignore[arg-type]
    pending.settle()
    regularizer.after_step("discriminator")
    return regularizer.beta.item()


def test_beta_rises_above_the_information_and_falls_to_zero_below_it() -> None:
    """beta <- max(0, beta + beta_step (KL - I_c)), once a step, with the mean KL over micro-batches."""
    regularizer = VariationalInformationBottleneck(information=0.5, initial_beta=1.0, beta_step=0.1)
    assert_close(step(regularizer, 2.5), 1.2)
    assert_close(step(regularizer, 1.0, 2.0), 1.3)
    assert_close(step(regularizer, 0.0), 1.25)
    assert_close(step(regularizer), 1.25)  # a turn without it
    assert_close(VariationalInformationBottleneck(initial_beta=0.3).beta.item(), 0.3)
    regularizer.beta.fill_(0.01)
    assert step(regularizer, 0.0) == 0.0


def test_beta_moves_by_the_divergence_that_the_step_saw() -> None:
    regularizer = VariationalInformationBottleneck(channels=3, information=0.1, initial_beta=0.4, beta_step=0.2)
    play = Rehearsal(ToyDiscriminator((2, 8, 8)), regularizer, image_shape=(2, 8, 8))
    view = play.view()
    kl = play.term("vib", view=view).item() / 0.4 + 0.1
    view.pending.settle()
    assert_close(regularizer.beta.item(), 0.4 + 0.2 * (kl - 0.1))
    assert "beta" in regularizer.state_dict()


@pytest.mark.parametrize("generator_sees", ["mean", "sample"])
def test_the_generator_pays_nothing_and_sees_the_mean_or_a_sample(generator_sees: str) -> None:
    regularizer = VariationalInformationBottleneck(channels=3, generator_sees=generator_sees)
    play = Rehearsal(ToyDiscriminator((2, 8, 8)), regularizer, image_shape=(2, 8, 8))
    before = regularizer.beta.clone()
    view = play.view(GENERATOR)
    assert play.terms(GENERATOR, view=view) == {}
    view.pending.settle()
    assert torch.equal(regularizer.beta, before)
    net, discriminator = regularizer.bottleneck, play.discriminator
    assert net.back is not None
    code = pointwise(net.mean, discriminator.features(view.fakes().images))
    through_mean = discriminator.head(pointwise(net.back, nn.functional.leaky_relu(code, 0.2)))
    equal = torch.allclose(view.logits(view.fakes()), through_mean)
    assert equal == (generator_sees == "mean")


def test_noise_of_one_role_does_not_depend_on_who_asks_first() -> None:
    """So a penalty that makes a pass of its own leaves the main pass what it was."""
    play = Rehearsal(
        ToyDiscriminator((2, 8, 8)), VariationalInformationBottleneck(channels=3), R1(), image_shape=(2, 8, 8)
    )
    first, second = play.view(), play.view()
    real = first.logits(first.reals)
    second.logits(second.fakes())
    second.input_gradient(second.interpolated())
    assert torch.equal(real, second.logits(second.reals))


def test_its_modules_are_the_discriminators_and_trained_through_r1_too() -> None:
    regularizer = VariationalInformationBottleneck(channels=3)
    play = Rehearsal(ToyDiscriminator((2, 8, 8)), regularizer, R1(), image_shape=(2, 8, 8))
    parameters = list(play.game.players["discriminator"].parameters())
    assert all(any(p is q for q in parameters) for p in regularizer.bottleneck.parameters())
    gradients = torch.autograd.grad(play.term("r1"), list(regularizer.bottleneck.parameters()), allow_unused=True)
    assert gradients[0].any()


def test_in_the_turn_of_a_lazy_penalty_it_samples_but_is_no_term() -> None:
    regularizer = VariationalInformationBottleneck(channels=3)
    play = Rehearsal(ToyDiscriminator((2, 8, 8)), regularizer, R1(interval_steps=2), image_shape=(2, 8, 8))
    view = play.view(Turn(("discriminator",), every=2, name="r1"))
    terms = play.terms(view.turn, view=view)
    assert set(terms["discriminator"]) == {"r1"}
    before = regularizer.beta.clone()
    view.pending.settle()
    assert torch.equal(regularizer.beta, before)


def test_a_discriminator_without_features_and_head_is_refused_with_the_reason() -> None:
    game = toy_game()
    game.discriminator = nn.Linear(2, 1)
    with pytest.raises(GanlabError, match="and Linear has no features and no head"):
        VariationalInformationBottleneck().attach(game)


def test_channels_of_features_are_counted_where_the_discriminator_does_not_say() -> None:
    class Silent(Linear):
        feature_channels = None  # type: ignore[assignment]

        def __init__(self) -> None:
            super().__init__((2, 4, 4))
            self.norm = nn.BatchNorm2d(2)

        def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            return self.norm(x)

    game = toy_game((2, 4, 4))
    game.discriminator = silent = Silent()
    tracked = silent.norm.get_buffer("num_batches_tracked")
    before = tracked.clone()
    regularizer = VariationalInformationBottleneck(channels=3)
    regularizer.attach(game)
    assert regularizer.bottleneck.mean.in_features == 2
    assert silent.norm.training
    assert torch.equal(tracked, before)
    del silent.image_shape, game.generator.image_shape
    with pytest.raises(GanlabError, match="give it an attribute feature_channels"):
        VariationalInformationBottleneck().attach(game)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 0}, "channels must be at least 1, got 0"),
        ({"information": -0.1}, "information must be finite and at least 0"),
        ({"initial_beta": float("inf")}, "initial_beta must be finite and at least 0"),
        ({"beta_step": -1e-5}, "beta_step must be finite and at least 0"),
        ({"form": "paper"}, "form must be one of general, published, got 'paper'"),
        ({"generator_sees": "median"}, "generator_sees must be one of mean, sample"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VariationalInformationBottleneck(**options)
