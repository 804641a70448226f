"""Every family: shapes, sizes, options, second derivatives, what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from ganlab.config import schema
from ganlab.core import kinds, registry
from ganlab.layers import spectral_norm
from ganlab.layers.norm import BatchNorm, ConditionalBatchNorm
from ganlab.models import biggan, biggan_deep, dcgan, mlp, sagan, sngan

FAMILIES: dict[str, ModuleType] = {
    "mlp": mlp,
    "dcgan": dcgan,
    "sngan": sngan,
    "sagan": sagan,
    "biggan": biggan,
    "biggan_deep": biggan_deep,
}
NARROW = {
    "mlp": ({"width": 16}, {"width": 16}),
    "dcgan": ({"width": 4}, {"width": 4}),
    "sngan": ({"width": 2}, {"width": 2}),
    "sagan": ({"width": 8}, {"width": 8}),
    "biggan": ({"width": 2}, {"width": 2}),
    "biggan_deep": ({"width": 2}, {"width": 2}),
}
every_family = pytest.mark.parametrize("family", FAMILIES)


def build(family: str, size: int | tuple[int, int], channels: int = 3, classes: int = 0) -> tuple[Any, Any]:
    torch.manual_seed(0)
    generator, discriminator = NARROW[family]
    given: dict[str, Any] = {"image_size": size, "image_channels": channels, "num_classes": classes}
    if "biggan" in family:  # by default there is attention from 64 pixels on only
        given["attention"] = (size if isinstance(size, int) else size[0]) // 2
    return FAMILIES[family].Generator(**given, **generator), FAMILIES[family].Discriminator(**given, **discriminator)


@every_family
@pytest.mark.parametrize("classes", [0, 4])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", ["smallest", "oblong", "six"])
def test_images_and_logits_have_their_shapes_at_any_size(family: str, classes: int, channels: int, shape: str) -> None:
    smallest = next(side for side in range(1, 65) if side in FAMILIES[family].Generator.image_sizes)
    sizes: dict[str, int | tuple[int, int]] = {"smallest": smallest, "oblong": (32, 48), "six": 48}
    size = sizes[shape]
    generator, discriminator = build(family, size, channels, classes)
    z, y = torch.randn(2, generator.latent_dim), torch.tensor([0, 3]) if classes else None
    images = generator(z, y)
    expected = (channels, *size) if isinstance(size, tuple) else (channels, size, size)
    assert generator.image_shape == discriminator.image_shape == expected
    assert images.shape == (2, *expected)
    assert images.abs().max() <= 1 or expected[1:] == (1, 1), "only points are not bounded"
    features = discriminator.features(images, y)
    assert features.shape[:2] == (2, discriminator.feature_channels)
    assert features.ndim in (2, 4)
    logits = discriminator(images, y)
    assert logits.shape == (2,)
    torch.testing.assert_close(
        discriminator.eval()(images, y), discriminator.head(discriminator.features(images, y), y)
    )
    assert generator.num_classes == discriminator.num_classes == classes


@every_family
def test_labels_change_images_and_logits(family: str) -> None:
    generator, discriminator = (network.eval() for network in build(family, 32, classes=4))
    z = torch.randn(1, generator.latent_dim).expand(2, -1)
    y = torch.tensor([0, 3])
    with torch.no_grad():
        images = generator(z, y)
        assert not torch.allclose(images[0], images[1])
        logits = discriminator(images[:1].expand(2, -1, -1, -1), y)
        assert not torch.allclose(logits[0], logits[1])


@every_family
def test_every_parameter_of_a_conditional_pair_has_a_gradient(family: str) -> None:
    generator, discriminator = build(family, 32, classes=4)
    y = torch.tensor([0, 3])
    discriminator(generator(torch.randn(2, generator.latent_dim), y), y).sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name


@every_family
def test_a_discriminator_can_be_differentiated_twice_under_spectral_norm(family: str) -> None:
    _, discriminator = build(family, 32, classes=4)
    discriminator = discriminator.to(memory_format=torch.channels_last)
    parametrizations = spectral_norm.attach(discriminator)
    x = torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last).requires_grad_()
    with spectral_norm.held(parametrizations), parametrize.cached():
        logits = discriminator(x, torch.tensor([0, 3]))
        (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        gradient.square().sum().backward()
    grads = [p.grad for p in discriminator.parameters() if p.grad is not None]
    assert grads
    assert all(torch.isfinite(g).all() for g in grads)
    assert any(g.abs().max() > 0 for g in grads)


@every_family
def test_networks_run_under_bf16_autocast_and_in_channels_last(family: str) -> None:
    generator, discriminator = (n.to(memory_format=torch.channels_last) for n in build(family, 32, classes=4))
    for network in (generator, discriminator):
        spectral_norm.attach(network)
    z, y = torch.randn(4, generator.latent_dim), torch.tensor([0, 3, 1, 1])
    with torch.no_grad():
        exact = discriminator.eval()(generator.eval()(z, y), y)
        with torch.autocast("cpu", torch.bfloat16):
            logits = discriminator(generator(z, y), y)
    torch.testing.assert_close(logits.float(), exact, rtol=0.1, atol=0.1 * float(exact.abs().max()))


@every_family
def test_wrong_latents_and_missing_labels_are_refused_and_unused_ones_ignored(family: str) -> None:
    generator, discriminator = build(family, 32, classes=4)
    z, x = torch.randn(2, generator.latent_dim), torch.zeros(2, 3, 32, 32)
    with pytest.raises(ValueError, match=f"expected latents of shape .batch, {generator.latent_dim}., got .2, 7."):
        generator(torch.randn(2, 7), torch.tensor([0, 1]))
    for network, given in ((generator, z), (discriminator, x)):
        with pytest.raises(ValueError, match="expected labels 0 to 3 for a network with 4 classes, got none"):
            network(given)
    plain = build(family, 32)[1].eval()
    assert torch.equal(plain(x, torch.tensor([0, 1])), plain(x))


@pytest.mark.parametrize(
    ("kind", "family"), [(kind, name) for kind in kinds.networks() for name in registry.names(kind)]
)
def test_a_network_makes_the_sizes_that_it_says_and_no_others(kind: str, family: str) -> None:
    component = registry.load(kind, family)
    options = {"image_channels": 1, "latent_dim": 24, "width": 64}
    known = schema.takes(component)
    for side in (1, 2, 4, 5, 7, 8, 9, 10, 12, 14, 15, 16, 17, 24, 28, 30, 32, 48, 50, 56, 64):
        try:
            with torch.device("meta"):
                component(image_size=side, **{name: value for name, value in options.items() if name in known})
        except ValueError as error:
            assert side not in component.image_sizes, (side, error)
        else:
            assert side in component.image_sizes, side


@pytest.mark.parametrize("hierarchical", [True, False])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("classes", [0, 4])
def test_hierarchical_latents_and_shared_embedding_are_independent_options(
    hierarchical: bool, shared: bool, classes: int
) -> None:
    generator = biggan.Generator(
        32, 3, classes, width=2, latent_dim=8, shared_dim=5, hierarchical=hierarchical, shared_embedding=shared
    )
    y = torch.tensor([0, 3]) if classes else None
    assert generator(torch.randn(2, 8), y).shape == (2, 3, 32, 32)
    assert (generator.embedding is not None) == (shared and classes > 0)
    attached = spectral_norm.attach(generator)
    linear_maps = 12 if hierarchical or (shared and classes) else 0
    assert len(attached) == 1 + 9 + 1 + linear_maps  # linear, three blocks, output, gains and offsets


def test_interpolating_embeddings_gives_the_images_of_the_classes_at_the_ends() -> None:
    for family in (biggan, biggan_deep):
        generator = family.Generator(32, 3, 4, width=2).eval()
        z = torch.randn(2, generator.latent_dim)
        ends = generator.embed(torch.tensor([0, 3]))
        with torch.no_grad():
            torch.testing.assert_close(generator.synthesize(z, ends), generator(z, torch.tensor([0, 3])))


def test_channels_follow_the_published_tables() -> None:
    """arXiv:1809.11096, tab. 4 to 6 (in units of ch), and the published code for 32, 64 and 512."""
    assert biggan.generator_multiples(3) == [4, 4, 4, 4]
    assert biggan.generator_multiples(4) == [16, 16, 8, 4, 2]
    assert biggan.generator_multiples(5) == [16, 16, 8, 4, 2, 1]
    assert biggan.generator_multiples(6) == [16, 16, 8, 8, 4, 2, 1]
    assert biggan.generator_multiples(7) == [16, 16, 8, 8, 4, 2, 1, 1]
    assert biggan.discriminator_multiples(3) == [4, 4, 4, 4]
    assert biggan.discriminator_multiples(4) == [1, 2, 4, 8, 16]
    assert biggan.discriminator_multiples(5) == [1, 2, 4, 8, 16, 16]
    assert biggan.discriminator_multiples(6) == [1, 2, 4, 8, 8, 16, 16]


@pytest.mark.parametrize(
    "option", [{"kernel_size": 5}, {"kernel_size": 7}, {"dilation": 2}, {"upsampling": "bilinear"}]
)
def test_what_the_paper_tried_without_gain_can_be_tried(option: dict[str, Any]) -> None:
    generator = biggan.Generator(32, 3, 4, width=2, **option)
    assert generator(torch.randn(2, generator.latent_dim), torch.tensor([0, 1])).shape == (2, 3, 32, 32)
    if "upsampling" not in option:
        assert (
            biggan.Discriminator(32, 3, 4, width=2, **option)(torch.zeros(2, 3, 32, 32), torch.tensor([0, 1])).ndim == 1
        )


@pytest.mark.parametrize(("normalization", "layers"), [("none", 0), ("batch", 7), ("conditional", 7)])
def test_a_biggan_discriminator_may_have_batch_norm_before_each_relu_but_the_images(
    normalization: str, layers: int
) -> None:
    discriminator = biggan.Discriminator(32, 3, 4, width=2, normalization=normalization)
    assert len([m for m in discriminator.modules() if isinstance(m, BatchNorm)]) == layers
    assert len([m for m in discriminator.modules() if isinstance(m, ConditionalBatchNorm)]) == layers * (
        normalization == "conditional"
    )
    discriminator(torch.randn(2, 3, 32, 32), torch.tensor([0, 3])).sum().backward()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: biggan.Generator(32, attention=64, width=2), "one of 8, 16, 32 .0 for none., got 64"),
        (lambda: biggan.Discriminator(32, attention=32, width=2), "one of 8, 16 .0 for none., got 32"),
        (lambda: biggan.Discriminator(32, width=2, normalization="conditional"), "expected classes for normalization"),
        (lambda: biggan.Generator(32, latent_dim=3), "expected latent_dim to be at least 4"),
        (lambda: sngan.Discriminator(32, halvings=6), "expected halvings to be 1 to 5 at 32x32, got 6"),
        (lambda: sngan.Discriminator(32, plain_blocks=-1), "plain_blocks must be at least 0, got -1"),
        (lambda: sngan.Generator(32, growth=0), "growth must be at least 1, got 0"),
        (lambda: sngan.Generator(32, initialization="xaver"), "Did you mean 'xavier'"),
        (lambda: sngan.Discriminator(32, pooling="max"), "pooling must be one of sum, mean"),
        (lambda: mlp.Generator(8, depth=0), "depth must be at least 1, got 0"),
        (lambda: biggan.Generator(32, dilation=0), "dilation must be at least 1, got 0"),
        (lambda: biggan.Generator(32, shared_dim=0), "shared_dim must be at least 1, got 0"),
        (lambda: biggan.Generator(32, norm_eps=0.0), "eps of batch norm must be finite and positive, got 0.0"),
        (
            lambda: biggan_deep.Generator(128, width=1, attention=0),
            "expected at least 4 channels in each block, got 2: make",
        ),
        (lambda: biggan_deep.Discriminator(64, width=1), "expected at least 4 channels in each block, got 2: make"),
        (lambda: biggan_deep.Generator(32, depth=0), "depth must be at least 1, got 0"),
    ],
)
def test_options_out_of_range_are_refused_in_one_sentence(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_points_are_images_of_one_pixel_and_may_be_unbounded() -> None:
    generator, discriminator = mlp.Generator(1, 2, bounded=False), mlp.Discriminator(1, 2)
    points = generator(100 * torch.randn(64, generator.latent_dim))
    assert points.shape == (64, 2, 1, 1)
    assert points.abs().max() > 1
    assert discriminator(points).shape == (64,)


def test_a_generator_alone_and_in_a_batch_makes_the_same_image() -> None:
    for family in FAMILIES:
        generator = build(family, 32, classes=4)[0].eval().to(memory_format=torch.channels_last)
        z, y = torch.randn(40, generator.latent_dim), torch.arange(40) % 4
        with torch.no_grad():  # 40 images take the folded way where one takes the plain one
            torch.testing.assert_close(generator(z, y)[17:18], generator(z[17:18], y[17:18]), rtol=1e-4, atol=1e-5)


def test_the_discriminators_of_sagan_and_biggan_are_one_network_at_128_pixels() -> None:
    torch.manual_seed(0)
    one = biggan.Discriminator(128, 3, 4, width=2, attention=16)
    other = sagan.Discriminator(128, 3, 4, width=2, attention=16)
    with torch.no_grad():
        one.attentions["2"].get_parameter("gamma").fill_(0.5)
    other.load_state_dict(one.state_dict())
    x, y = torch.randn(2, 3, 128, 128), torch.tensor([0, 3])
    assert torch.equal(one(x, y), other(x, y))
