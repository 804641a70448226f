"""Projected discriminators: frozen maps, trainable heads."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
from torch import nn

import ganlab
from ganlab.core.errors import GanlabError
from ganlab.models.projected import ProjectedDiscriminator, Stages


def frozen() -> nn.Module:
    torch.manual_seed(0)
    return Stages([nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, 2, 1), nn.Conv2d(6, 8, 3, 2, 1)])


def test_only_its_heads_learn_and_gradients_reach_the_images() -> None:
    network = ProjectedDiscriminator(frozen(), image_size=None, width=4)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    adversary = ganlab.Adversary(network, optimizer="sgd", lr=0.1, reg={"r1": {"gamma": 0.1}})
    x, fake = torch.rand(2, 4, 3, 32, 32).unbind()
    fake = fake.requires_grad_()
    adversary.train()
    adversary.step(x, fake)
    adversary.generator_loss(fake).backward()
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith("heads") for name in moved)
    assert fake.grad is not None
    assert fake.grad.any()
    assert [one.shape[2:] for one in network(x)] == [(4, 4), (8, 8), (16, 16)]


@pytest.mark.parametrize("name", ["torchvision:mobilenet_v3_small", "torchvision:resnet18", "timm:resnet18"])
def test_networks_of_packages_give_four_scales(name: str) -> None:
    package = name.partition(":")[0]
    if importlib.util.find_spec(package) is None:
        with pytest.raises(GanlabError, match=f"needs the package {package}"):
            ProjectedDiscriminator(name, pretrained=False)
        return
    network = ProjectedDiscriminator(name, pretrained=False, image_size=64, width=4)
    assert len(network(torch.zeros(1, 3, 32, 32))) == 4
    assert not network.train().network.training


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ("resnet18", "torchvision:NAME"),
        ("torchvision:no_such_net", "cannot make it"),
        (nn.Linear(5, 5), "Linear gives no maps of images"),
    ],
)
def test_a_wrong_network_is_refused(features: Any, words: str) -> None:
    with pytest.raises(GanlabError, match=words):
        ProjectedDiscriminator(features, pretrained=False)


def test_one_map_is_too_few() -> None:
    with pytest.raises(GanlabError, match="two are the least"):
        ProjectedDiscriminator(Stages([nn.Conv2d(3, 4, 3)]), image_size=None)
