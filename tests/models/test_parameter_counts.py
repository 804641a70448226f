"""Parameter counts of the published networks, as printed by their own code (docs/parameter-counts.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ganlab.models import biggan, biggan_deep, sagan, sngan

BIGGAN = {  # (ch, image size): (G, D); G with hierarchical latents of 120 and a shared embedding of 128
    (96, 32): (9_466_115, 9_836_929),
    (96, 64): (70_239_108, 45_500_449),
    (96, 128): (70_433_988, 87_982_370),
    (96, 256): (82_108_548, 99_225_890),
    (96, 512): (82_253_988, 99_401_282),
    (64, 32): (4_485_635, 4_460_801),
    (64, 64): (31_908_100, 20_566_721),
    (64, 128): (31_978_628, 39_448_258),
    (64, 256): (37_240_580, 44_445_890),
    (64, 512): (37_298_628, 44_523_906),
}
DEEP = {64: (49_583_876, 20_869_633), 128: (50_244_484, 34_590_210), 256: (55_736_708, 38_247_426)}
# Width and growth as in the constructors; the discriminator's halvings and plain blocks follow.
CIFAR_G = {"width": 256, "growth": 1}
CIFAR_D = {"width": 128, "growth": 1, "halvings": 2, "plain_blocks": 2}
MIMICRY = {  # image size: (G options, D options, G, D)
    32: (CIFAR_G, CIFAR_D, 4_276_739, 1_053_825),
    48: ({"width": 64}, {"width": 64, "halvings": 4}, 4_878_083, 10_141_441),
    64: ({"width": 64}, {"width": 64, "halvings": 5, "plain_blocks": 0}, 12_220_675, 10_141_441),
    128: ({"width": 64}, {"width": 64}, 32_150_787, 29_017_857),
}
FLAT = {"hierarchical": False, "shared_embedding": False, "latent_dim": 128}


def count(network: type, *args: object, **options: object) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in network(*args, **options).parameters())


@pytest.mark.parametrize(("width", "size"), BIGGAN)
def test_biggan_has_the_published_number_of_parameters(width: int, size: int) -> None:
    expected = BIGGAN[width, size]
    classes = 1000
    assert count(biggan.Generator, size, 3, classes, width=width) == expected[0]
    assert count(biggan.Discriminator, size, 3, classes, width=width) == expected[1]


@pytest.mark.parametrize(("size", "latent_dim", "expected"), [(256, 140, 82_235_844), (512, 128, 82_296_804)])
def test_biggan_with_the_latents_of_the_released_weights(size: int, latent_dim: int, expected: int) -> None:
    assert count(biggan.Generator, size, 3, 1000, width=96, latent_dim=latent_dim) == expected


def test_biggan_for_cifar_without_shared_embedding_and_hierarchical_latents() -> None:
    assert count(biggan.Generator, 32, 3, 10, **FLAT) == 4_304_387
    assert count(biggan.Discriminator, 32, 3, 10) == 4_207_361


def test_hierarchical_latents_are_rounded_down_to_equal_parts() -> None:
    with torch.device("meta"):
        assert biggan.Generator(256, 3, 1000, latent_dim=120).latent_dim == 119
        assert biggan.Generator(128, 3, 1000, latent_dim=120).latent_dim == 120


@pytest.mark.parametrize("size", DEEP)
def test_biggan_deep_has_the_published_number_of_parameters(size: int) -> None:
    assert count(biggan_deep.Generator, size, 3, 1000, width=128) == DEEP[size][0]
    assert count(biggan_deep.Discriminator, size, 3, 1000, width=128) == DEEP[size][1]


@pytest.mark.parametrize(("size", "expected"), [(128, 50_388_609), (256, 55_880_833), (512, 56_163_905)])
def test_biggan_deep_as_released_has_128_output_channels_of_which_three_are_the_image(size: int, expected: int) -> None:
    assert count(biggan_deep.Generator, size, 128, 1000, width=128) == expected


@pytest.mark.parametrize("size", MIMICRY)
def test_sngan_has_mimicrys_number_of_parameters(size: int) -> None:
    generator, discriminator, expected_generator, expected_discriminator = MIMICRY[size]
    assert count(sngan.Generator, size, **generator) == expected_generator
    assert count(sngan.Discriminator, size, **discriminator) == expected_discriminator


def test_conditional_sngan_has_mimicrys_number_of_parameters() -> None:
    assert count(sngan.Generator, 32, 3, 10, **CIFAR_G) == 4_304_387
    assert count(sngan.Discriminator, 32, 3, 10, **CIFAR_D) == 1_055_105
    assert count(sngan.Generator, 128, 3, 1000) == 41_996_931
    assert count(sngan.Discriminator, 128, 3, 1000, width=8) == 582_497


def test_sngan_has_the_number_of_parameters_of_the_thin_discriminator_script() -> None:
    assert count(sngan.Generator, 128, 3, 1000) == 41_996_931
    assert count(sngan.Discriminator, 128, 3, 1000, thin_first=True) == 30_005_013


def test_sagan_has_mimicrys_number_of_parameters() -> None:
    assert count(sagan.Generator, 32, 3, 10, attention=16, **CIFAR_G) == 4_386_308
    assert count(sagan.Discriminator, 32, 3, 10, attention=8, wide=False, **CIFAR_D) == 1_075_586
    assert count(sagan.Generator, 128, 3, 1000) == 42_078_852
    assert count(sagan.Discriminator, 128, 3, 1000, width=8, wide=False) == 582_818
    assert count(sagan.Discriminator, 128, 3, 1000, width=64, wide=False) == 30_062_338


def test_sagan_has_the_number_of_parameters_of_the_biggan_authors_script() -> None:
    assert count(sagan.Generator, 128, 3, 1000, attention=64) == 42_017_412
    assert count(sagan.Discriminator, 128, 3, 1000, attention=64) == 39_448_258


def test_the_page_of_counts_says_which_code_has_them() -> None:
    page = (Path(__file__).parents[2] / "docs/parameter-counts.md").read_text()
    for number in (n for pair in [*BIGGAN.values(), *DEEP.values(), *(m[2:] for m in MIMICRY.values())] for n in pair):
        assert f"{number:,}" in page
