"""Progressive GAN and StyleGAN: sizes, stages, what is run and trained, and the protocol of growing."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from ganlab.contracts.growth import Grows
from ganlab.layers import resample
from ganlab.layers.growing import blend_reals
from ganlab.models import pggan, stylegan

FAMILIES: dict[str, ModuleType] = {"pggan": pggan, "stylegan": stylegan}
every_family = pytest.mark.parametrize("family", FAMILIES)
NARROW: dict[str, Any] = {"width": 64, "max_width": 6}


def build(
    family: str, size: int | tuple[int, int] = 32, channels: int = 3, classes: int = 0, **options: Any
) -> tuple[Any, Any]:
    """A narrow pair whose every parameter is random."""
    torch.manual_seed(0)
    styled = {"w_dim": 7, "mapping_width": 5, "mapping_layers": 2} if family == "stylegan" else {}
    generator = FAMILIES[family].Generator(size, channels, classes, latent_dim=8, **NARROW, **styled, **options)
    discriminator = FAMILIES[family].Discriminator(size, channels, classes, **NARROW)
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            if name.endswith("bias") or "biases" in name or "noises" in name:
                nn.init.normal_(parameter, std=0.3)
    return generator, discriminator


def gradients(network: nn.Module) -> set[str]:
    """Names of the modules and parameters right below that have a gradient."""
    return {name for name, parameter in network.named_parameters() if parameter.grad is not None}


@every_family
@pytest.mark.parametrize("classes", [0, 4])
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (32, 3), (48, 3), ((16, 24), 1)])
def test_images_and_logits_have_the_shapes_of_every_stage(
    family: str, size: int | tuple[int, int], channels: int, classes: int
) -> None:
    generator, discriminator = build(family, size, channels, classes)
    height, breadth = (size, size) if isinstance(size, int) else size
    z, y = torch.randn(4, 8), torch.tensor([0, 3, 1, 1]) if classes else None
    assert generator.image_shape == discriminator.image_shape == (channels, height, breadth)
    assert generator.levels == discriminator.levels == generator.level == discriminator.level
    for network in (generator, discriminator):
        assert isinstance(network, Grows)
        assert isinstance(network, nn.Module)
        assert network.alpha.shape == ()
        assert network.alpha.dtype is torch.float32
        assert any(buffer is network.alpha for buffer in network.buffers())
    for level in range(generator.levels + 1):
        expected = (height >> (generator.levels - level), breadth >> (generator.levels - level))
        assert generator.image_size_at(level) == discriminator.image_size_at(level) == expected
        for alpha in (0.0, 0.3, 1.0):
            generator.set_stage(level, alpha)
            discriminator.set_stage(level, alpha)
            images = generator(z, y)
            assert images.shape == (4, channels, *expected)
            features = discriminator.features(images, y)
            assert features.shape[1] == discriminator.feature_channels
            logits = discriminator(images, y)
            assert logits.shape == (4,)
            assert torch.equal(logits, discriminator.head(features, y))


@every_family
def test_a_generator_blends_images_after_doubling_and_a_discriminator_maps_after_halving(family: str) -> None:
    """G: old + alpha·(new − old), where alpha 1 is the new path alone and alpha 0 the level below, doubled."""
    generator, discriminator = (network.double().eval() for network in build(family))
    z, x = torch.randn(4, 8).double(), torch.randn(4, 3, 32, 32).double()
    noise = {"noise": "fixed"} if family == "stylegan" else {}
    made, seen = {}, {}
    for alpha in (0.0, 0.25, 1.0):
        generator.set_stage(3, alpha)
        discriminator.set_stage(3, alpha)
        made[alpha] = generator(z, **noise)
        seen[alpha] = discriminator.features(x)
    torch.testing.assert_close(made[0.25], 0.75 * made[0.0] + 0.25 * made[1.0])
    generator.set_stage(2, 1.0)
    discriminator.set_stage(2, 1.0)
    torch.testing.assert_close(made[0.0], F.interpolate(generator(z, **noise), scale_factor=2.0))
    torch.testing.assert_close(seen[0.0], discriminator.features(F.avg_pool2d(x, 2)))
    assert not torch.allclose(seen[0.25], seen[1.0])


@every_family
def test_only_what_a_stage_uses_gets_a_gradient(family: str) -> None:
    generator, discriminator = build(family)
    whole = generator.synthesis if family == "stylegan" else generator
    for level, alpha, ends in ((2, 1.0, {2}), (2, 0.3, {1, 2}), (0, 1.0, {0}), (3, 1.0, {3})):
        for network in (generator, discriminator):
            network.zero_grad(set_to_none=True)
            network.set_stage(level, alpha)
        discriminator(generator(torch.randn(4, 8))).sum().backward()
        for i in range(4):
            assert any(name.startswith(f"to_image.{i}.") for name in gradients(whole)) == (i in ends), (level, i)
            assert any(name.startswith(f"from_image.{i}.") for name in gradients(discriminator)) == (i in ends)
        for i in range(3):
            for name in ("ups", "convs"):
                assert (f"{name}.{i}.weight" in gradients(whole)) == (i < level)
            for name in ("convs", "downs"):
                assert (f"{name}.{i}.weight" in gradients(discriminator)) == (i < level)


@every_family
def test_a_loaded_network_has_the_level_of_the_saved_one(family: str) -> None:
    for network, fresh in zip(build(family), build(family), strict=True):
        network.set_stage(2, 0.3)
        fresh.load_state_dict(network.state_dict())
        assert fresh.level == 2
        assert float(fresh.alpha) == pytest.approx(0.3)
        given = torch.randn(4, *((8,) if hasattr(network, "latent_dim") else (3, 16, 16)))
        with torch.no_grad():
            torch.manual_seed(1)
            expected = network.eval()(given)
            torch.manual_seed(1)
            assert torch.equal(fresh.eval()(given), expected)


@every_family
def test_what_cannot_be_is_refused_in_one_sentence(family: str) -> None:
    generator, discriminator = build(family)
    for network in (generator, discriminator):
        for level in (-1, 4):
            with pytest.raises(ValueError, match=f"expected a level of 0 to 3, got {level}"):
                network.set_stage(level, 1.0)
        for alpha in (-0.1, 1.1, float("nan")):
            with pytest.raises(ValueError, match=rf"alpha must be in \[0, 1\], got {alpha}"):
                network.set_stage(2, alpha)
        assert network.level == 3
    with pytest.raises(ValueError, match=r"images of shape \(batch, 3, 32, 32\) at level 3, got \(2, 3, 16, 16\)"):
        discriminator(torch.zeros(2, 3, 16, 16))
    make = FAMILIES[family].Generator, FAMILIES[family].Discriminator
    for network in make:
        with pytest.raises(ValueError, match="expected image_size to be 4 to 15 pixels doubled at least once, got 34"):
            network(34)
        with pytest.raises(ValueError, match=r"expected width to be at least 16, so that level 3 has a channel, got 8"):
            network(32, width=8)
    with pytest.raises(ValueError, match="group_size must be at least 2, got 1"):
        make[1](32, stddev_group=1)


@every_family
def test_a_discriminator_sees_the_group_and_may_do_without(family: str) -> None:
    discriminator = build(family)[1]
    x = torch.randn(8, 3, 32, 32)
    assert not torch.allclose(discriminator(x)[:4], discriminator(x[:4]), atol=1e-4)
    alone = FAMILIES[family].Discriminator(32, **NARROW, stddev_group=0)
    torch.testing.assert_close(alone(x)[:4], alone(x[:4]))


@every_family
def test_the_discriminators_input_gradient_has_the_right_slope(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the squared norm of the input gradient, in the middle of a fade, folded: by finite differences."""
    monkeypatch.setattr(resample, "FEWEST_PIXELS", 0)
    discriminator = build(family, 8)[1].double()
    discriminator.set_stage(1, 0.3)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)

    def penalty() -> torch.Tensor:
        (gradient,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
        return gradient.square().sum()

    penalty().backward()
    parameters = [p for p in discriminator.parameters() if p.grad is not None]
    direction = [torch.randn_like(p) for p in parameters]
    slope = sum((p.grad * d).sum() for p, d in zip(parameters, direction, strict=True))
    ends = []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            for p, d in zip(parameters, direction, strict=True):
                p.add_(d, alpha=step)
        ends.append(float(penalty().detach()))
    assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(float(slope), rel=1e-5)


@every_family
def test_networks_run_under_autocast_and_in_channels_last(family: str) -> None:
    generator, discriminator = build(family, classes=4)
    generator.set_stage(3, 0.5)
    discriminator.set_stage(3, 0.5)
    z, y = torch.randn(4, 8), torch.tensor([0, 3, 1, 1])
    noise = {"noise": "fixed"} if family == "stylegan" else {}
    with torch.no_grad():
        images = generator.eval()(z, y, **noise)
        logits = discriminator(images, y)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(discriminator(images, y).float(), logits, rtol=0.1, atol=0.1)
            rough = generator(z, y, **noise).float()
        assert (rough - images).norm() < 0.05 * images.norm()
        for network in (generator, discriminator):
            network.to(memory_format=torch.channels_last)
        last = generator(z, y, **noise)
        torch.testing.assert_close(last, images, rtol=1e-4, atol=1e-4)
        found = discriminator(images.contiguous(memory_format=torch.channels_last), y)
        torch.testing.assert_close(found, logits, rtol=1e-4, atol=1e-4)


def test_reals_fade_from_their_halved_and_doubled_selves() -> None:
    x = torch.randn(2, 3, 8, 8)
    old = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2.0)
    assert blend_reals(x, 1.0) is x
    torch.testing.assert_close(blend_reals(x, 0.0), old)
    torch.testing.assert_close(blend_reals(x, torch.tensor(0.3)), 0.7 * old + 0.3 * x)


def test_the_first_level_of_the_variant_does_not_blend_in_the_discriminator() -> None:
    for variant, blends in (("original", True), ("gan_zoo", False)):
        discriminator = pggan.Discriminator(16, **NARROW, variant=variant)
        for level, size in ((1, 8), (2, 16)):
            x = torch.randn(4, 3, size, size)
            discriminator.set_stage(level, 0.0)
            faded = discriminator(x)
            discriminator.set_stage(level, 1.0)
            assert torch.allclose(faded, discriminator(x)) == (level == 1 and not blends)


COUNTS = {  # docs/parameter-counts.md: tensorflow's, and for the variant pytorch_GAN_zoo's own
    (pggan, 32, "original"): (20_719_628, 20_726_785),
    (pggan, 128, "original"): (22_933_394, 22_941_313),
    (pggan, 1024, "original"): (23_079_115, 23_087_249),
    (pggan, 32, "gan_zoo"): (20_727_308, 20_726_785),
    (pggan, 128, "gan_zoo"): (22_941_074, 22_941_313),
    (pggan, 1024, "gan_zoo"): (23_086_795, 23_087_249),
    (stylegan, 256, None): (2_101_248 + 23_984_981, 23_052_353),
    (stylegan, 1024, None): (2_101_248 + 24_118_379, 23_087_249),
}


@pytest.mark.parametrize(("family", "size", "variant"), COUNTS)
def test_networks_have_the_published_number_of_parameters(family: ModuleType, size: int, variant: str | None) -> None:
    options = {} if variant is None else {"variant": variant}
    with torch.device("meta"):
        networks = [kind(size, **options) for kind in (family.Generator, family.Discriminator)]
    found = tuple(sum(p.numel() for p in network.parameters()) for network in networks)
    assert found == COUNTS[family, size, variant]
    if family is stylegan:
        assert sum(p.numel() for p in networks[0].mapping.parameters()) == 2_101_248


@pytest.mark.slow
@every_family
def test_compiled_networks_are_not_built_anew_when_alpha_changes(family: str) -> None:
    torch._dynamo.reset()
    generator, discriminator = build(family, 8)
    z = torch.randn(4, 8)
    noise = {"noise": "fixed"} if family == "stylegan" else {}
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda z: discriminator(generator(z, **noise)), backend=counter)
    generator.eval()
    frames = []
    for level, alpha in ((1, 0.2), (1, 0.7), (1, 1.0), (0, 1.0)):
        generator.set_stage(level, alpha)
        discriminator.set_stage(level, alpha)
        torch.testing.assert_close(compiled(z), discriminator(generator(z, **noise)), rtol=1e-4, atol=1e-4)
        frames.append(counter.frame_count)
    assert frames[0] == frames[1] < frames[2] < frames[3]
