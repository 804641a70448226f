"""The bound of a discriminator: a loss that is linear in its logits is as low as they are large."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.optim import Optimizer

from ganlab.contracts.game import Game
from ganlab.contracts.instrument import Subject

_PLAYER = "discriminator"
_LOGITS = {"real_logits", "fake_logits"}


def is_free(game: Game, regularizers: Iterable[Any], optimizers: Mapping[str, Optimizer]) -> bool:
    """Tell if the discriminator's loss is linear in its logits, as Wasserstein's is, and neither a regularizer nor
    weight decay acts on it. Its minimum over all discriminators is then -∞ (Arjovsky et al. 2017, arXiv:1701.07875,
    eq. 2, takes it over those with a slope of at most 1)."""
    if not _is_linear(getattr(getattr(game, "loss", None), _PLAYER, None)) or _PLAYER not in optimizers:
        return False
    decays = any(group.get("weight_decay") for group in optimizers[_PLAYER].param_groups)
    return not decays and not any(_PLAYER in regularizer.acts_on(game) for regularizer in regularizers)


def _is_linear(loss: Any) -> bool:
    """Tell if a loss of the discriminator takes logits alone, and scales with them in both directions."""
    if loss is None or set(inspect.signature(loss).parameters) != _LOGITS:
        return False
    sizes = (1e3, 2e3, -1e3)
    once, twice, other = (
        float(loss(real_logits=torch.full((2,), size), fake_logits=torch.full((2,), -size))) for size in sizes
    )
    return once < 0 and abs(twice - 2 * once) < 1e-3 * abs(once) and abs(other + once) < 1e-3 * abs(once)


@torch.no_grad()
def doubled(subject: Subject, images: Tensor, labels: Tensor | None) -> Tensor:
    """Return how many times as far apart the logits of images (N, ...) are with twice the weights: 1 where the network
    bounds its own slope, as by spectral normalization, 2 for one free layer, 4 for two. Biases are left as they are."""
    network = subject.discriminator
    twice = {name: 2 * p.detach() for name, p in network.named_parameters() if p.ndim > 1}
    with subject.measuring(network):
        before, after = (functional_call(network, weights, (images, labels)).float() for weights in ({}, twice))
    return after.std() / before.std().clamp(min=1e-12)
