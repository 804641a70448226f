"""R3GAN: counts, sizes, initialization, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ganlab.models import r3gan

IMAGENET = {"width": 49152, "max_width": 1536, "group_width": 32}
COUNTS: list[tuple[int, int, dict[str, Any], int, int]] = [  # image size, classes, options, G, D
    (32, 10, {}, 20_781_952, 21_280_512),
    (32, 0, {}, 20_732_160, 20_683_776),
    (64, 0, {}, 22_429_824, 22_381_440),
    (256, 0, {}, 23_057_952, 23_009_568),
    (32, 1000, IMAGENET, 82_914_304, 86_548_992),
    (64, 1000, IMAGENET, 103_570_432, 107_205_120),
]
NARROW: dict[str, Any] = {"width": 128, "max_width": 16, "group_width": 8}


@pytest.mark.parametrize(("size", "classes", "options", "generator", "discriminator"), COUNTS)
def test_the_networks_have_the_authors_number_of_parameters(
    size: int, classes: int, options: dict[str, Any], generator: int, discriminator: int
) -> None:
    with torch.device("meta"):
        for network, expected in ((r3gan.Generator, generator), (r3gan.Discriminator, discriminator)):
            assert sum(p.numel() for p in network(size, 3, classes, **options).parameters()) == expected


@pytest.mark.parametrize("size", [8, (32, 48), 24])
@pytest.mark.parametrize(("channels", "classes"), [(3, 0), (1, 4)])
def test_any_size_and_any_number_of_channels(size: int | tuple[int, int], channels: int, classes: int) -> None:
    shape = (channels, *((size, size) if isinstance(size, int) else size))
    generator = r3gan.Generator(size, channels, classes, latent_dim=5, **NARROW)
    discriminator = r3gan.Discriminator(size, channels, classes, **NARROW)
    y = torch.tensor([0, 3]) if classes else None
    images = generator(torch.randn(2, 5), y)
    assert generator.image_shape == discriminator.image_shape == images.shape[1:] == shape
    features = discriminator.features(images, y)
    assert features.shape[1] == discriminator.feature_channels
    torch.testing.assert_close(discriminator.head(features, y), discriminator(images, y))
    assert discriminator(images, y).shape == (2,)


def test_a_network_starts_as_its_skips_alone_and_its_weights_have_the_papers_deviation() -> None:
    """The last convolution of each block is 0, the others N(0, 2/1.04/√L/fan_in) with L = 8 blocks; biases are 0."""
    torch.manual_seed(0)
    generator = r3gan.Generator(32)
    x = torch.randn(1, 768, 4, 4)
    assert torch.equal(generator.stages[0](x), x)
    for name, parameter in generator.stages[1].named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif "conv3" not in name:
            expected = (2 / 1.04 / 8**0.5 / parameter[0].numel()) ** 0.5
            assert float(parameter.detach().std()) == pytest.approx(expected, rel=0.01)
    assert float(generator.base.maps.detach().std()) == pytest.approx(1, rel=0.03)


def test_gradients_of_r1_reach_every_weight() -> None:
    discriminator = r3gan.Discriminator(16, 3, 4, **NARROW)
    for parameter in discriminator.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 3, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(discriminator(x, torch.tensor([1, 2])).sum(), x, create_graph=True)
    slope.square().sum().backward()
    weights = [
        p for p in discriminator.parameters() if p.ndim > 1
    ]  # biases move no slope of a piecewise linear function
    assert all(p.grad is not None and bool(p.grad.any()) for p in weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 4}, "expected width to be at least 16, so that level 3 has a channel, got 4"),
        ({"width": (8, 8)}, r"expected width to be one number or 4 for 3 doublings of the base map, got \[8, 8\]"),
        ({"width": (8, 8, 8, 0)}, "width must be at least 1, got 0"),
        ({"group_width": 7}, "expected group_width to divide the 1536 channels inside a block of 768, got 7"),
        ({"blocks": (1, 1)}, r"expected blocks to be one number or 4, one a level, got \[1, 1\]"),
        ({"blocks": -1}, "blocks must be at least 0, got -1"),
    ],
)
def test_what_cannot_be_is_one_sentence(options: dict[str, Any], message: str) -> None:
    for network in (r3gan.Generator, r3gan.Discriminator):
        with pytest.raises(ValueError, match=message), torch.device("meta"):
            network(**options)
