"""Spectral norm with ``evaluation="stored"`` is torch's."""

import copy
from typing import Any

import pytest
import torch
from support.spectral import norm_of
from torch import nn

from ganlab.layers import spectral_norm


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    "layer", [nn.Conv2d(3, 5, 3), nn.Conv2d(4, 2, 1), nn.ConvTranspose2d(3, 4, 3), nn.Linear(6, 4)]
)
def test_stored_vectors_are_those_of_torchs_spectral_norm(
    layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, layout: torch.memory_format
) -> None:
    """Three passes in training mode, then evaluation, with the vectors far from the singular ones."""
    torch.manual_seed(0)
    layer = copy.deepcopy(layer).double()
    for parameter in layer.parameters():  # those of the list are drawn before any seed is set
        nn.init.normal_(parameter, std=0.3)
    theirs: Any = nn.utils.spectral_norm(copy.deepcopy(layer))  # it has weight_u and weight_v
    ours = copy.deepcopy(layer)
    ours.to(memory_format=layout)
    assert ours.bias is not None
    (parametrization,) = spectral_norm.attach(ours, evaluation="stored")
    norm = norm_of(parametrization)
    norm.u.copy_(theirs.weight_u)
    norm.v.copy_(theirs.weight_v)
    x = torch.randn(2, layer.weight.shape[int(not isinstance(layer, nn.ConvTranspose2d))], 5, 5).double()
    if isinstance(layer, nn.Linear):
        x = x[:, :, 0, 0]
    for training in (False, True, True, True, False):
        torch.testing.assert_close(ours.train(training)(x), theirs.train(training)(x))
        torch.testing.assert_close(norm.u, theirs.weight_u)
        torch.testing.assert_close(norm.v, theirs.weight_v)
    norm.v.neg_()  # it is used
    torch.testing.assert_close(
        ours(x) - ours.bias.view(-1, *[1] * (x.ndim - 2)), ours.bias.view(-1, *[1] * (x.ndim - 2)) - theirs(x)
    )


def test_only_stored_vectors_are_in_the_state() -> None:
    layer = nn.Linear(2, 2)
    spectral_norm.attach(layer)
    assert not [key for key in layer.state_dict() if key.endswith(".v")]
    with pytest.raises(ValueError, match="evaluation must be one of fresh, stored, got 'never'"):
        spectral_norm.attach(nn.Linear(2, 2), evaluation="never")
