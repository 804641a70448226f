"""Priors against moments of their distributions, and truncation against drawing again."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ganlab.core.errors import GanlabError
from ganlab.core.randomness import Stream
from ganlab.priors import Mixture, Normal, Truncated, Uniform, truncate

COUNT, DIM = 20_000, 50  # 1e6 numbers: a standard error of 1e-3 standard deviations


def draw(prior: Any, seed: int = 0, batch: int = COUNT, dim: int = DIM) -> Tensor:
    return prior(Stream(seed).draw, batch, dim)


def test_every_prior_gives_float32_of_the_asked_shape_from_the_key_alone() -> None:
    for prior in (Normal(), Uniform(), Truncated(), Mixture()):
        torch.manual_seed(1)
        first = draw(prior, batch=3, dim=7)
        torch.manual_seed(2)
        assert torch.equal(first, draw(prior, batch=3, dim=7))
        assert not torch.equal(first, draw(prior, seed=1, batch=3, dim=7))
        assert first.shape == (3, 7)
        assert first.dtype == torch.float32


def test_normal_has_mean_0_and_the_standard_deviation_scale() -> None:
    z = draw(Normal(scale=1.5))
    assert abs(z.mean().item()) < 5e-3
    assert_close(z.std().item(), 1.5, rtol=5e-3, atol=0)


def test_uniform_fills_its_interval() -> None:
    """Variance (b - a)^2 / 12."""
    z = draw(Uniform(low=-1.0, high=3.0))
    assert z.min() >= -1
    assert z.max() < 3
    assert_close((z.mean().item(), z.var().item()), (1.0, 16 / 12), rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize(("threshold", "published"), [(0.5, 0.0806), (1.0, 0.2911), (2.0, 0.7737)])
def test_truncated_has_the_published_variance(threshold: float, published: float) -> None:
    """Var = 1 - 2h phi(h) / (2 Phi(h) - 1), which is .0806, .2911, .7737; E z^4 from the same recursion,
    E z^4 = 3 E z^2 - 2h^3 phi(h) / (2 Phi(h) - 1). Clamping at h would give a larger variance.
    """
    density = math.exp(-(threshold**2) / 2) / math.sqrt(2 * math.pi)
    mass = math.erf(threshold / math.sqrt(2))
    variance = 1 - 2 * threshold * density / mass
    fourth = 3 * variance - 2 * threshold**3 * density / mass
    assert round(variance, 4) == published
    z = draw(Truncated(threshold)).double()
    assert z.abs().max() <= threshold
    assert abs(z.mean().item()) < 5e-3 * threshold
    assert_close((z.var().item(), z.pow(4).mean().item()), (variance, fourth), rtol=6e-3, atol=0)


def test_truncated_has_the_distribution_of_drawing_again() -> None:
    """Quantiles of 1e6 truncated numbers against those of normal numbers of which larger ones were thrown away."""
    kept = torch.randn(4_000_000, generator=torch.Generator().manual_seed(5))
    kept = kept[kept.abs() <= 0.7]
    points = torch.linspace(0.02, 0.98, 25)
    expected = torch.quantile(kept[:1_000_000], points)
    assert_close(torch.quantile(draw(Truncated(0.7)).flatten(), points), expected, rtol=0, atol=4e-3)


@pytest.mark.parametrize("threshold", [1e-4, 6.0, 40.0])
def test_truncated_is_finite_for_any_uniform_number(threshold: float) -> None:
    """Also at u = 0 and the largest float32 below 1, where erf(threshold) is 1 in float32; and symmetric there."""
    ends = torch.tensor([[0.0, 1 - 2.0**-24]])
    low, high = Truncated(threshold)(lambda *_: ends, 1, 2).flatten().tolist()
    assert math.isfinite(low)
    assert_close(low, -high)
    assert 0 < high <= threshold


def test_a_mixture_has_one_component_a_sample_all_alike_and_noise_beside_it() -> None:
    """Counts of 20,000 / K are binomial: within 5 standard deviations. The code's numbers have the second moment 1."""
    components = 40
    z = draw(Mixture(components, std=0.5))
    code, noise = z[:, :components], z[:, components:]
    assert ((code != 0).sum(1) == 1).all()
    assert_close(code.amax(1), torch.full((COUNT,), math.sqrt(components)))
    counts = (code != 0).sum(0).double()
    deviation = math.sqrt(COUNT / components * (1 - 1 / components))
    assert (counts - COUNT / components).abs().max() < 5 * deviation
    assert_close(code.square().mean().item(), 1.0)
    assert abs(noise.mean().item()) < 5e-3
    assert_close(noise.std().item(), 0.5, rtol=1e-2, atol=0)
    of_components = torch.stack([noise[code[:, k] != 0].mean() for k in range(components)])
    assert of_components.abs().max() < 5 * 0.5 / math.sqrt(10 * 0.8 * COUNT / components), "noise knows no component"


def test_a_mixture_keeps_half_of_the_latents_for_its_components_unless_told() -> None:
    z = draw(Mixture(), batch=100)
    assert ((z[:, : DIM // 2] != 0).sum(1) == 1).all()
    assert (z[:, DIM // 2 :] != 0).all()


@pytest.mark.parametrize("components", [1, 3, 1000, 1024, 16_777_215])
def test_the_largest_uniform_number_is_the_last_component(components: int) -> None:
    """K (1 - 2^-24) rounds to less than K."""

    def largest(purpose: str, shape: Any, distribution: str) -> Tensor:
        return torch.full(tuple(shape), 1 - 2.0**-24)

    z = Mixture(components)(largest, 1, components + 1)
    assert z[0, components - 1] > 0


def test_a_mixture_without_numbers_for_its_noise_says_what_to_set() -> None:
    with pytest.raises(GanlabError, match=r"latent_dim is 16 with prior\.components=16: set generator.latent_dim=32"):
        draw(Mixture(16), dim=16)


def test_truncating_a_prior_gives_it_given_that_no_number_exceeds_the_threshold() -> None:
    assert truncate(Normal(), 0.7) == Truncated(0.7)
    assert truncate(Normal(scale=2.0), 0.5) == Truncated(threshold=0.25, scale=2.0)
    assert truncate(Truncated(2.0), 0.5) == Truncated(0.5)
    assert truncate(Truncated(0.4), 0.5) == Truncated(0.4)
    assert truncate(Uniform(), 0.5) == Uniform(-0.5, 0.5)
    assert truncate(Uniform(-0.2, 1.0), 0.5) == Uniform(-0.2, 0.5)
    assert draw(truncate(Normal(scale=2.0), 0.5)).abs().max() <= 0.5


def test_a_prior_that_cannot_be_truncated_says_so() -> None:
    def sphere(draw: Callable[..., Tensor], batch: int, dim: int) -> Tensor:
        return torch.nn.functional.normalize(draw("latents", (batch, dim), "normal"))

    with pytest.raises(GanlabError, match="The prior function cannot be truncated"):
        truncate(sphere, 0.5)
    with pytest.raises(GanlabError, match=r"cannot be truncated at 0.5: high must be above low"):
        truncate(Uniform(0.6, 1.0), 0.5)
    with pytest.raises(GanlabError, match="cannot be truncated at -1: threshold must be finite and positive"):
        truncate(Normal(), -1)


@pytest.mark.parametrize(
    ("prior", "options", "message"),
    [
        (Normal, {"scale": 0.0}, "scale must be finite and positive"),
        (Uniform, {"low": 1.0}, "high must be above low"),
        (Uniform, {"high": float("inf")}, "both finite"),
        (Truncated, {"threshold": -0.5}, "threshold must be finite and positive"),
        (Mixture, {"components": 0}, "components must be at least 1"),
        (Mixture, {"std": 0.0}, "std must be finite and positive"),
        (Truncated, {"scale": float("nan")}, "scale must be finite and positive"),
    ],
)
def test_numbers_out_of_range_are_refused(
    prior: type[Normal] | type[Truncated] | type[Uniform] | type[Mixture], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        prior(**options)
