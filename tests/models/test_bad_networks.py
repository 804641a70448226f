"""Impossible options of a residual family are one sentence with the override key and the nearest possible value."""

from types import ModuleType

import pytest
import torch

from ganlab.assembly import experiment
from ganlab.config import compose
from ganlab.core.errors import GanlabError
from ganlab.models import biggan, biggan_deep, sagan, sngan


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["model=biggan", "data.image_size=100"],
            "generator: expected image_size to be 4 to 15 pixels doubled at least 3",
        ),
        (["model=biggan", "data.image_size=100"], "nearest for the side is 96 or 104"),
        (
            ["model=biggan", "generator.attention=24"],
            "generator: expected attention to be the height of a map, one of 8,",
        ),
        (
            ["model=biggan_deep", "discriminator.attention=5"],
            "discriminator: expected attention to be the height of a map",
        ),
        (["model=sagan", "data.image_size=32", "generator.attention=64"], "one of 8, 16, 32 (0 for none), got 64"),
    ],
)
def test_sizes_and_attention_that_cannot_be_are_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(GanlabError) as caught:
        experiment.build(compose.read([*words, "generator.width=8", "discriminator.width=8"]))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("family", [biggan, biggan_deep, sagan, sngan])
def test_latents_of_the_wrong_width_and_missing_labels_are_refused(family: ModuleType) -> None:
    generator = family.Generator(32, num_classes=3, width=8).eval()
    with pytest.raises(ValueError, match=rf"expected latents of shape \(batch, {generator.latent_dim}\), got \(2, 5\)"):
        generator(torch.zeros(2, 5), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="expected labels 0 to 2 for a network with 3 classes, got none"):
        generator(torch.zeros(2, generator.latent_dim))
