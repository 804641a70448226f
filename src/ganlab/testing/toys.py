"""A smallest game, to test components in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab.contracts.game import Game
from ganlab.contracts.points import Points
from ganlab.contracts.regularizer import Regularizer, hooks_of
from ganlab.contracts.setting import Setting
from ganlab.contracts.turn import Objectives, Turn
from ganlab.contracts.view import View
from ganlab.core import randomness
from ganlab.games.standard import Standard
from ganlab.layers import state
from ganlab.losses.non_saturating import NonSaturating
from ganlab.priors import Normal


class ToyGenerator(nn.Module):
    """x = tanh(W z): the smallest generator."""

    num_classes = 0

    def __init__(self, image_shape: Sequence[int] = (3, 8, 8), latent_dim: int = 4) -> None:
        super().__init__()
        self.image_shape, self.latent_dim = tuple(image_shape), latent_dim
        self.linear = nn.Linear(latent_dim, math.prod(self.image_shape))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.tanh(self.linear(z)).unflatten(1, self.image_shape)


class ToyDiscriminator(nn.Module):
    """f = softplus(V x), logit = w·mean(f): the smallest discriminator, smooth, for images or points."""

    num_classes = 0

    def __init__(self, image_shape: Sequence[int] = (3, 8, 8), feature_channels: int = 5) -> None:
        super().__init__()
        self.image_shape, self.feature_channels = tuple(image_shape), feature_channels
        first = self.image_shape[0]
        points = len(self.image_shape) == 1
        self.body = nn.Linear(first, feature_channels) if points else nn.Conv2d(first, feature_channels, 4, stride=4)
        self.output = nn.Linear(feature_channels, 1)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return F.softplus(self.body(x))

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return self.output(features.flatten(2).mean(2) if features.ndim > 2 else features).squeeze(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


def toy_game(image_shape: Sequence[int] = (3, 8, 8), loss: Any = None) -> Standard:
    """The standard game of the toy networks; the loss is ``non_saturating`` by default."""
    loss = NonSaturating() if loss is None else loss
    return Standard(generator=ToyGenerator(image_shape), discriminator=ToyDiscriminator(image_shape), loss=loss)


def toy_view(
    game: Game, regularizers: Sequence[Regularizer], turn: Turn, *, reals: Tensor, key: Sequence[int | str] = (0,)
) -> View:
    """Return the view of one micro-batch of ``turn``, with these real images and this key of randomness.

    ``reals`` is used as it is: the view may make it require gradients.
    """
    stream = randomness.Stream(*key, device=reals.device)

    def prior(draw: Any, batch: int, dim: int) -> Tensor:
        return Normal()(draw, batch, dim).to(reals.dtype)

    setting = Setting(prior=prior, latent_dim=int(game.get_submodule("generator").latent_dim))  # type: ignore[arg-type]
    points = Points(reals, None, "real") if turn.reals else None
    hooks = hooks_of(game, regularizers)
    return View(game, hooks, turn, stream, setting, reals=points, batch=len(reals), iteration=0, images_seen=0)


def rehearse(
    game: Game, regularizers: Sequence[Regularizer], turn: Turn, *, seed: int = 0, batch: int = 4
) -> Objectives:
    """Return all terms of one micro-batch of ``turn``, as the engine puts them together; no player steps."""
    view = view_of_rehearsal(game, regularizers, turn, seed=seed, batch=batch)
    with randomness.using(view.stream), state.passing(moves=False):
        return view.objectives()


def view_of_rehearsal(
    game: Game, regularizers: Sequence[Regularizer], turn: Turn, *, seed: int = 0, batch: int = 4
) -> View:
    """Return the view of a micro-batch of random real images."""
    like = next(game.parameters())
    shape = (batch, *game.generator.image_shape)  # type: ignore[union-attr,misc]
    reals = torch.rand(shape, generator=torch.Generator().manual_seed(seed)).to(like) * 2 - 1
    return toy_view(game, regularizers, turn, reals=reals, key=(seed,))
