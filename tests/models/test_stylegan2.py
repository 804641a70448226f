"""StyleGAN2: counts, sizes, modulation, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from ganlab.layers.modulated import ModulatedConv2d
from ganlab.models import stylegan2

CIFAR: tuple[dict[str, Any], dict[str, Any]] = ({"mapping_layers": 2}, {"architecture": "orig"})
HALVED: tuple[dict[str, Any], dict[str, Any]] = ({"width": 8192}, {"width": 8192})
COUNTS: list[tuple[int, int, tuple[dict[str, Any], dict[str, Any]], int, int]] = [
    (256, 0, ({}, {}), 30_034_338, 28_864_129),
    (512, 0, ({}, {}), 30_276_583, 28_982_849),
    (1024, 0, ({}, {}), 30_370_060, 29_012_513),
    (256, 0, HALVED, 24_767_458, 24_001_089),
    (512, 0, HALVED, 24_860_935, 24_030_753),
    (1024, 0, HALVED, 24_900_764, 24_038_161),
    (32, 0, CIFAR, 19_947_539, 20_720_641),
    (32, 10, CIFAR, 20_215_315, 23_089_664),
]
NARROW: dict[str, Any] = {"width": 64, "max_width": 8}


@pytest.mark.parametrize(("size", "classes", "options", "generator", "discriminator"), COUNTS)
def test_the_networks_have_the_authors_number_of_parameters(
    size: int, classes: int, options: tuple[dict[str, Any], dict[str, Any]], generator: int, discriminator: int
) -> None:
    with torch.device("meta"):
        made = stylegan2.Generator(size, 3, classes, **options[0])
        assert sum(p.numel() for p in made.parameters()) == generator
        assert sum(p.numel() for p in made.mapping.parameters()) == 2_101_248 or size == 32
        made_ = stylegan2.Discriminator(size, 3, classes, **options[1])
        assert sum(p.numel() for p in made_.parameters()) == discriminator


@pytest.mark.parametrize("architecture", stylegan2.ARCHITECTURES)
@pytest.mark.parametrize(("size", "channels", "classes"), [(8, 3, 0), ((32, 48), 1, 4)])
def test_any_size_and_any_number_of_channels(
    architecture: str, size: int | tuple[int, int], channels: int, classes: int
) -> None:
    shape = (channels, *((size, size) if isinstance(size, int) else size))
    options = {**NARROW, "architecture": architecture}
    generator = stylegan2.Generator(size, channels, classes, latent_dim=5, w_dim=6, **options)
    discriminator = stylegan2.Discriminator(size, channels, classes, stddev_channels=2, **options)
    y = torch.tensor([0, 3]) if classes else None
    images = generator(torch.randn(2, 5), y)
    assert generator.image_shape == discriminator.image_shape == images.shape[1:] == shape
    features = discriminator.features(images, y)
    assert features.shape[1] == discriminator.feature_channels
    torch.testing.assert_close(discriminator.head(features, y), discriminator(images, y))
    assert discriminator(images, y).shape == (2,)


def test_demodulating_outputs_is_demodulating_each_images_own_weights() -> None:
    """y = conv(x, W'), W'_oik = s_i W_oik / √(Σ (s_i W_oik)² + ε): eq. 1 and 3 with weights for each image."""
    torch.manual_seed(0)
    conv = ModulatedConv2d(3, 4, 3, 5)
    x, w = torch.randn(2, 3, 6, 7), torch.randn(2, 5)
    found, factor = conv(x, w)
    assert factor is not None
    for i in range(2):
        weight = conv.weight * conv.affine(w[i : i + 1]).view(1, 3, 1, 1)
        weight = weight * torch.rsqrt(weight.square().sum((1, 2, 3), keepdim=True) + 1e-8)
        torch.testing.assert_close((found * factor)[i : i + 1], F.conv2d(x[i : i + 1], weight, padding=1))


def test_a_style_starts_as_ones_plus_a_linear_map_and_noise_at_strength_zero() -> None:
    generator = stylegan2.Generator(16, latent_dim=4, w_dim=6, **NARROW).eval()
    assert all(bool((layer.conv.affine.bias == 1).all()) for layer in generator.synthesis.layers)
    z = torch.randn(2, 4)
    with torch.no_grad():
        assert torch.equal(generator(z, noise="off"), generator(z, noise="fixed"))
        for layer in generator.synthesis.layers:
            layer.noise.weight.fill_(0.5)
        assert not torch.equal(generator(z, noise="off"), generator(z, noise="fixed"))
        assert not torch.equal(generator(z), generator(z))


def test_a_clamp_bounds_maps_and_image_layers() -> None:
    generator = stylegan2.Generator(16, latent_dim=4, w_dim=6, clamp=0.1, architecture="orig", **NARROW).eval()
    assert float(generator(torch.randn(2, 4)).detach().abs().max()) <= 0.1 + 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 8}, "expected width to be at least 16, so that level 3 has a channel, got 8"),
        ({"architecture": "residual"}, "architecture must be one of skip, resnet, orig, got 'residual'"),
        ({"clamp": 0.0}, "clamp must be finite and positive, got 0.0"),
        ({"taps": (1.0,)}, "expected taps to be two numbers or more"),
    ],
)
def test_what_cannot_be_is_one_sentence(options: dict[str, Any], message: str) -> None:
    for network in (stylegan2.Generator, stylegan2.Discriminator):
        with pytest.raises(ValueError, match=message), torch.device("meta"):
            network(**options)


def test_what_a_call_cannot_have_is_one_sentence() -> None:
    generator = stylegan2.Generator(16, latent_dim=4, w_dim=6, **NARROW).eval()
    z = torch.randn(2, 4)
    for options, message in (
        ({"psi": float("nan")}, "expected psi to be a finite number"),
        ({"psi": 0.5, "cutoff": 7}, "expected cutoff to be 0 to 6, the number of layers, got 7"),
        ({"noise": "constant"}, "noise must be one of random, fixed, off"),
    ):
        with pytest.raises(ValueError, match=message):
            generator(z, **options)
    with pytest.raises(ValueError, match="expected stddev_channels to divide the 8 channels"):
        stylegan2.Discriminator(16, stddev_channels=3, **NARROW)
