"""Random Fourier features against the Gaussian kernel, and the discriminator that sees them."""

import math

import pytest
import torch
from torch.testing import assert_close

from ganlab.models.mlp import Discriminator, FourierFeatures

COUNT = 20_000


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_products_of_features_tend_to_the_gaussian_kernel(scale: float) -> None:
    """gamma(x)·gamma(y) / count is the mean of cos t, t = 2 pi b·(x - y) ~ N(0, s^2), s = 2 pi scale ||x - y||.

    E cos t = exp(-s^2 / 2) and E cos^2 t = (1 + exp(-2 s^2)) / 2, whose variance gives the error of the mean.
    """
    torch.manual_seed(0)
    gamma = FourierFeatures(3, COUNT, scale).double()
    x = torch.randn(8, 3, dtype=torch.float64) / scale
    y = x + torch.randn(8, 3, dtype=torch.float64) * torch.logspace(-2, 0, 8, dtype=torch.float64)[:, None] / scale
    found = (gamma(x) * gamma(y)).sum(1) / COUNT  # (8,)
    s = 2 * math.pi * scale * (x - y).norm(dim=1)
    kernel = (-s.square() / 2).exp()
    error = (((1 + (-2 * s.square()).exp()) / 2 - kernel.square()) / COUNT).sqrt()
    assert kernel.min() < 0.01 < 0.9 < kernel.max(), "from far to near"
    assert ((found - kernel).abs() < 4 * error).all()


def test_features_are_cosine_and_sine_of_each_frequency() -> None:
    gamma = FourierFeatures(2, 1, 1.0)
    gamma.frequencies.copy_(torch.tensor([[0.5], [0.25]]))
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])  # a half, a quarter and three quarters of a turn
    assert_close(gamma(x), torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), atol=1e-6, rtol=0)


def test_angles_keep_their_digits_under_autocast() -> None:
    torch.manual_seed(0)
    gamma, x = FourierFeatures(2, 64, 10.0), torch.randn(16, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gamma(x), gamma(x.clone()))
        inside = gamma(x)
    assert torch.equal(inside, gamma(x))


def test_the_discriminator_sees_features_beside_the_point_and_keeps_their_frequencies() -> None:
    torch.manual_seed(0)
    options = {"image_size": 1, "image_channels": 2, "num_classes": 3, "width": 8, "fourier_features": 5}
    first, second = Discriminator(**options), Discriminator(**options)  # type: ignore[arg-type]
    assert first.state_dict()["hidden.0.weight"].shape == (8, 2 + 2 * 5 + 32)
    assert "fourier.frequencies" in first.state_dict()
    assert "fourier.frequencies" not in dict(first.named_parameters())
    x, y = torch.randn(4, 2, 1, 1), torch.tensor([0, 1, 2, 0])
    assert not torch.equal(first(x, y), second(x, y))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x, y), second(x, y))


def test_without_features_nothing_is_drawn_for_them() -> None:
    """The same weights as of layers that are made without the option."""
    torch.manual_seed(0)
    plain = Discriminator(image_size=1, image_channels=2, fourier_scale=7.0)
    after = torch.rand(1)
    torch.manual_seed(0)
    assert list(plain.state_dict()) == list(Discriminator(image_size=1, image_channels=2).state_dict())
    assert torch.equal(after, torch.rand(1))
    assert not any("fourier" in name for name in plain.state_dict())


@pytest.mark.parametrize(("option", "value"), [("fourier_features", -1), ("fourier_scale", 0.0)])
def test_numbers_out_of_range_are_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{option} must be"):
        Discriminator(image_size=1, image_channels=2, **{option: value})  # type: ignore[arg-type]
