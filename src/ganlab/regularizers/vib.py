"""The variational discriminator bottleneck."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab import distributed
from ganlab.contract import Game, Objectives, Regularizer, Turn
from ganlab.errors import GanlabError, one_of
from ganlab.layers import state
from ganlab.regularizers.attachment import owner
from ganlab.regularizers.input_penalty import checked_weight
from ganlab.view import View

GENERATOR_SEES = ("mean", "sample")


class Bottleneck(nn.Module):
    """mean and log(std) of a code of each position of a feature map, and the way back: 1x1 convolutions.

    Linear maps over the channels (dimension 1), so that (B, C), (B, C, H, W) and others all pass.
    """

    def __init__(self, feature_channels: int, channels: int) -> None:
        super().__init__()
        self.mean = nn.Linear(feature_channels, channels)
        self.log_std = nn.Linear(feature_channels, channels)
        self.back = nn.Linear(channels, feature_channels)


def pointwise(layer: nn.Linear, x: Tensor) -> Tensor:
    """``layer`` at every position: (B, C, ...) -> (B, K, ...)."""
    return layer(x.movedim(1, -1)).movedim(-1, 1)  # without a copy where channels lie last in memory


def divergence(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL(N(mean, std^2) || N(0, 1)) in nats: summed over channels, averaged over images and positions."""
    mean, log_std = mean.float() if mean.dtype.itemsize < 4 else mean, log_std.to(mean.dtype)
    mean, log_std = _single(mean), _single(log_std)
    return ((mean.square() + (2 * log_std).exp() - 1) / 2 - log_std).sum(1).mean()
