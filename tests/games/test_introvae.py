"""IntroVAE: what its players step with, by hand, and the divergence against torch's."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from support.engine import BATCH, LATENTS, E, Engine, G, points
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from ganlab.core.randomness import Stream
from ganlab.games.introvae import IntroVAE
from ganlab.layers import gaussian


def kl(encoder: E, x: Tensor) -> Tensor:
    """The batch mean of the divergence, as torch computes it."""
    mean, log_variance = encoder(x)
    return kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1).mean()


def test_the_divergence_of_a_gaussian_code_is_torchs() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.randn(5, 4, dtype=torch.float64), 3 * torch.randn(5, 4, dtype=torch.float64)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(gaussian.divergence(mean, log_variance), expected)
    assert gaussian.divergence(mean.bfloat16(), log_variance.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("options", [{"margin": 3.0}, {"margin": 0.5, "generator_alpha": 0.5, "beta": 0.2}])
def test_the_encoder_steps_first_and_then_judges_the_generator(options: dict[str, Any]) -> None:
    """arXiv:1807.06358, algorithm 1, eqs. 11 and 12; the mean over the batch comes before the hinge. With the second
    margin one hinge at least is closed."""
    torch.manual_seed(0)
    generator, encoder = G(), E()
    g, e = copy.deepcopy(generator), copy.deepcopy(encoder)
    engine = Engine(IntroVAE(generator=generator, encoder=encoder, **options))
    engine.iterate()
    noise = Stream(0, 0, 0, 0).draw("codes", (BATCH, LATENTS))
    x, alpha, beta = points(0), 0.25, options.get("beta", 1.0)

    mean, log_variance = e(x)
    codes = mean + (log_variance / 2).exp() * noise
    rec = g(codes)
    hinges = [F.relu(options["margin"] - kl(e, made.detach())) for made in (rec, g(engine.z(0)))]
    error = (rec - x).square().sum(1).mean()
    loss = kl(e, x) + alpha * (hinges[0] + hinges[1]) + beta * error
    expected = torch.autograd.grad(loss, list(e.parameters()))
    found = [b.detach() - a.detach() for b, a in zip(e.parameters(), encoder.parameters(), strict=True)]
    torch.testing.assert_close(found, list(expected), rtol=1e-4, atol=1e-5)

    rec, fake = g(codes.detach()), g(engine.z(0))  # judged by the encoder as it is after its step
    alpha = options.get("generator_alpha", alpha)
    loss = alpha * (kl(encoder, rec) + kl(encoder, fake)) + beta * (rec - x).square().sum(1).mean()
    expected = torch.autograd.grad(loss, list(g.parameters()))
    found = [b.detach() - a.detach() for b, a in zip(g.parameters(), generator.parameters(), strict=True)]
    torch.testing.assert_close(found, list(expected), rtol=1e-4, atol=1e-5)


def test_simultaneous_steps_are_of_gradients_at_one_point() -> None:
    """Both are evaluated before either steps: the encoder that judges the generator is the old one."""
    torch.manual_seed(0)
    generator, encoder = G(), E()
    g, e = copy.deepcopy(generator), copy.deepcopy(encoder)
    engine = Engine(IntroVAE(generator=generator, encoder=encoder, beta=0.0, alpha=1.0, update="simultaneous"))
    engine.iterate()
    noise = Stream(0, 0, 0, 0).draw("codes", (BATCH, LATENTS))
    mean, log_variance = e(points(0))
    rec = g((mean + (log_variance / 2).exp() * noise).detach())
    expected = torch.autograd.grad(kl(e, rec) + kl(e, g(engine.z(0))), list(g.parameters()))
    found = [b.detach() - a.detach() for b, a in zip(g.parameters(), generator.parameters(), strict=True)]
    torch.testing.assert_close(found, list(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"margin": -1.0}, {"alpha": math.inf}, {"beta": math.nan}, {"generator_alpha": -1.0}]
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be finite and at least 0"):
        IntroVAE(generator=G(), encoder=E(), **options)
