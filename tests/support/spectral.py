"""Spectral norms as they are on a layer."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from ganlab.layers.spectral_norm import SpectralNorm


def list_of(layer: nn.Module) -> ParametrizationList:
    """The parametrizations of a layer's weight, and ``original``, the weight itself."""
    lists = layer.parametrizations
    assert isinstance(lists, nn.ModuleDict)
    found = lists["weight"]
    assert isinstance(found, ParametrizationList)
    return found


def norm_of(layer: nn.Module) -> SpectralNorm:
    """A layer's spectral norm: its first parametrization, where `list_of` may be given too."""
    norm = (layer if isinstance(layer, ParametrizationList) else list_of(layer))[0]
    assert isinstance(norm, SpectralNorm)
    return norm
