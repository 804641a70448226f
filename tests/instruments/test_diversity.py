"""Diversity of images whose differences are known."""

from __future__ import annotations

import math

import pytest
import torch
from support.instruments import Network, Parts, measured, subject
from torch import Tensor, nn
from torch.testing import assert_close

from ganlab.contracts.extractor import Examples, Extractor
from ganlab.instruments.diversity import Diversity, differences, entropy, in_classes


@pytest.mark.parametrize("groups", [1, 2, 5, 10])
def test_planted_duplicates_count_once(groups: int) -> None:
    """Ten images that are copies of ``groups`` ones without anything in common: K / n has so many equal eigenvalues."""
    features = torch.eye(groups).repeat(10 // groups, 1) * 3
    found = differences(features)
    assert found["vendi"].item() == pytest.approx(groups, rel=1e-4)
    assert found["effective_rank"].item() == pytest.approx(max(groups - 1, 1), rel=1e-4)  # less the mean
    different = 1 - (10 // groups - 1) / 9  # share of the pairs
    assert found["distance"].item() == pytest.approx(different * 3 * math.sqrt(2))


def test_the_entropy_is_that_of_the_eigenvalues() -> None:
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(40, 12, generator=draw).double() * torch.logspace(0, -3, 12).double()
    matrices = features @ features.mT
    matrices = matrices / matrices.trace()
    values = torch.linalg.eigvalsh(matrices).clamp(min=1e-30)
    assert_close(entropy(matrices[None])[0], -(values * values.log()).sum(), rtol=1e-4, atol=1e-5)
    assert entropy(torch.zeros(1, 3, 3).double()).item() == pytest.approx(0, abs=1e-5)


def test_classes_are_alive_where_the_classifier_sees_them() -> None:
    features = torch.tensor([[0.0], [1.0], [5.0], [9.0]])
    found = in_classes(features, torch.tensor([0, 0, 2, 2]), 4)
    assert {name: value.item() for name, value in found.items()} == {"class_distance": 2.5, "classes_alive": 0.5}
    assert [*in_classes(features, torch.tensor([0, 1, 2, 3]), 5)] == ["class_distance"]


class Brightness(Extractor):
    """Features: the pixels. Classes: which of the two is brighter."""

    own_classes, logits_dim, cpu_images = True, 2, 3

    def prepare(self, examples: Examples | None = None) -> None:
        raise AssertionError

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        assert len(images) <= self.cpu_images
        features = images.flatten(1).float()
        return features, features


def test_a_collapsed_generator_is_seen() -> None:
    """All images are (1, -1), white and black: one class of two, no distance."""
    layer = nn.Linear(2, 2)
    layer.weight.data.zero_()
    layer.bias.data = torch.tensor([1.0, -1.0])
    game = Parts(generator=Network(layer, nn.Unflatten(1, (2, 1, 1)), latent_dim=2))
    extractor = Brightness()
    found = measured(Diversity(samples=7), subject(game, extractor=lambda name: extractor))
    expected = {"distance": 0.0, "effective_rank": 1.0, "vendi": 1.0, "class_distance": 0.0, "classes_alive": 0.5}
    assert found == pytest.approx(expected, abs=1e-4)
    layer.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    layer.bias.data.zero_()
    assert measured(Diversity(samples=20), subject(game, extractor=lambda name: extractor))["classes_alive"] == 1.0


def test_a_run_without_a_generator_or_images_is_refused() -> None:
    with pytest.raises(ValueError, match="the game has no generator"):
        Diversity().prepare(subject(Parts(discriminator=Network(nn.Identity()))))
    with pytest.raises(ValueError, match="it needs a feature extractor, and the run has no images"):
        Diversity().prepare(subject(Parts(generator=Network(nn.Identity(), latent_dim=2))))
