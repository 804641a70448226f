"""EBGAN: the energy of an auto-encoder."""

from __future__ import annotations

import pytest
import torch

from ganlab.assembly import experiment
from ganlab.config import compose
from ganlab.contracts.compatibility import provided
from ganlab.core.errors import GanlabError
from ganlab.models.autoencoder import Discriminator


def test_the_energy_is_the_mean_squared_error_of_the_reconstruction() -> None:
    torch.manual_seed(0)
    network = Discriminator(16, 3, width=2, code_dim=3).eval()
    x = torch.tanh(torch.randn(4, 3, 16, 16))
    assert network.encode(x).shape == (4, 3)
    made = network.decode(network.encode(x))
    expected = [((made[i] - x[i]) ** 2).sum() / (3 * 16 * 16) for i in range(4)]
    torch.testing.assert_close(network(x), -torch.stack(expected))
    assert provided(network, "discriminator") == {"energy", "embedding"}


def test_the_code_is_a_bottleneck_through_which_everything_goes() -> None:
    network = Discriminator(8, 1, width=2, code_dim=2).eval()
    torch.nn.init.zeros_(network.to_code.weight)
    x = torch.randn(3, 1, 8, 8)
    made = network.decode(network.encode(x))
    torch.testing.assert_close(made, made[:1].expand_as(made))


def test_a_discriminator_without_an_energy_is_refused_with_what_to_choose() -> None:
    with pytest.raises(GanlabError, match=r"game=ebgan needs a discriminator whose -logit is an energy.*autoencoder"):
        experiment.build(compose.read(["game=ebgan", "discriminator=sngan", "loss=hinge"]))
