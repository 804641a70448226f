"""Options for changes that the BigGAN paper reports as tried without gain."""

from typing import Any

import pytest
import torch
from support.runs import Train
from torch.testing import assert_close

from ganlab.assembly import experiment
from ganlab.config import compose
from ganlab.core.errors import GanlabError
from ganlab.models.biggan import Discriminator, Generator


def test_weight_norm_starts_as_the_same_function_and_then_learns_lengths_apart_from_directions() -> None:
    """w = g·v/‖v‖, norms over all but the first dimension: scaling v changes nothing, scaling g scales w."""
    torch.manual_seed(0)
    plain = Generator(32, num_classes=3, width=2).eval()
    torch.manual_seed(0)
    normed = Generator(32, num_classes=3, width=2, weight_norm=True).eval()
    z, y = torch.randn(2, plain.latent_dim), torch.tensor([0, 2])
    assert_close(normed(z, y), plain(z, y))
    parameters = dict(normed.named_parameters())
    assert not [name for name in parameters if name.endswith(("conv1.weight", "conv2.weight", "linear.weight"))]
    with torch.no_grad():
        parameters["blocks.0.conv1.parametrizations.weight.original1"].mul_(3)
        assert_close(normed(z, y), plain(z, y))
        parameters["output.parametrizations.weight.original0"].mul_(3)
        plain.output.weight.mul_(3)
        assert_close(normed(z, y), plain(z, y))


def test_weight_norm_and_spectral_norm_of_one_network_are_refused_in_one_sentence() -> None:
    words = ["model=biggan", "generator.width=2", "discriminator.width=2", "generator.weight_norm=true", "reg=sn"]
    experiment.build(compose.read(words))
    with pytest.raises(GanlabError, match=r"reg\.sn: spectral norm cannot be put on weight norm: leave one of"):
        experiment.build(compose.read([*words, "reg.sn.players=[discriminator,generator]"]))


def test_extra_blocks_keep_map_and_channels_and_the_published_names() -> None:
    kinds: tuple[Any, Any] = (Generator, Discriminator)
    for network in kinds:
        plain, deep = (network(64, num_classes=3, width=2, extra_blocks=n, attention=0) for n in (0, 2))
        names = plain.state_dict().keys()
        assert all(value.shape == deep.state_dict()[name].shape for name, value in plain.state_dict().items())
        extra = {name for name in deep.state_dict() if name not in names}
        assert {name.split(".")[0] for name in extra} == {"extra_blocks"}
        assert len(deep.extra_blocks) == 2 * len(plain.blocks)
        assert not [name for name in extra if "shortcut" in name]
        deep.load_state_dict({**deep.state_dict(), **plain.state_dict()})
        with torch.no_grad():  # a block whose last convolution is 0 is the identity
            for block in deep.extra_blocks:
                block.conv2.weight.zero_()
                block.conv2.bias.zero_()
        y = torch.tensor([0, 1])
        given = torch.randn(2, plain.latent_dim) if network is Generator else torch.randn(2, 3, 64, 64)
        assert_close(deep.eval()(given, y), plain.eval()(given, y))
        with torch.no_grad():
            deep.extra_blocks[-1].conv2.weight.normal_()
        assert not torch.allclose(deep(given, y), plain(given, y))
        with pytest.raises(ValueError, match="extra_blocks must be at least 0, got -1"):
            network(32, extra_blocks=-1)


def test_everything_at_once_trains(train: Train) -> None:
    words = [
        "model=biggan",
        "data.image_size=32",
        "generator.latent_dim=120",
        "generator.width=2",
        "discriminator.width=2",
    ]
    words += ["generator.weight_norm=true", "generator.extra_blocks=1", "discriminator.extra_blocks=1"]
    words += ["generator.kernel_size=5", "generator.dilation=2", "generator.upsampling=bilinear"]
    words += ["discriminator.normalization=conditional", "reg=[sn,ortho]"]
    train(*words, steps=1)
