"""Discriminators whose input gradients are known exactly, and views of one turn of a toy game."""

from collections.abc import Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer, hooks_of
from ganlab.contracts.turn import Turn
from ganlab.contracts.view import View
from ganlab.core import randomness
from ganlab.games.standard import Standard
from ganlab.layers import state
from ganlab.losses.non_saturating import NonSaturating
from ganlab.testing import ToyGenerator, toy_view

Discriminator = TypeVar("Discriminator", bound=nn.Module)
DISCRIMINATOR = Turn(("discriminator",), reals="fresh")
GENERATOR = Turn(("generator",), reals=None)


class Linear(nn.Module):
    """D(x) = w·x: dD/dx = w everywhere."""

    feature_channels = 1

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.w = nn.Parameter(torch.randn(image_shape, generator=torch.Generator().manual_seed(7)))

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return (x * self.w).flatten(1).sum(1, keepdim=True)

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return features.squeeze(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


class Quadratic(Linear):
    """D(x) = 1/2 w·x^2: dD/dx = w x."""

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return (x.square() * self.w).flatten(1).sum(1, keepdim=True) / 2


def change_gradients(game: Game, regularizer: Regularizer, turn: Turn, gradients: Mapping[str, list[Tensor]]) -> None:
    """Let a regularizer change the gradients of a turn's players, as the engine does."""
    for hook in hooks_of(game, [regularizer]).gradients:
        if hook.acts_in(turn):
            hook.call(hook.player, gradients[hook.player])


def end_step(game: Game, regularizer: Regularizer, turn: Turn) -> None:
    """Let a regularizer act after a step, as the engine does."""
    for hook in hooks_of(game, [regularizer]).after_step:
        if hook.acts_in(turn):
            hook.call(hook.player)


class Rehearsal(Generic[Discriminator]):
    """A standard game of a toy generator and a given discriminator, its regularizers, and its turns."""

    def __init__(
        self,
        discriminator: Discriminator,
        *regularizers: Regularizer,
        image_shape: tuple[int, ...] = (2, 4, 4),
        dtype: torch.dtype = torch.float64,
        loss: object = None,
    ) -> None:
        self.generator, self.discriminator = ToyGenerator(image_shape), discriminator
        loss = NonSaturating() if loss is None else loss
        self.game = Standard(generator=self.generator, discriminator=discriminator, loss=loss)
        self.regularizers = regularizers
        for regularizer in regularizers:
            regularizer.attach(self.game)
        for module in (self.game, *regularizers):
            module.to(dtype)
        shape = (6, *image_shape)
        self.reals = torch.rand(shape, generator=torch.Generator().manual_seed(1)).to(dtype) * 2 - 1

    def view(self, turn: Turn = DISCRIMINATOR, key: tuple[int, ...] = (0,)) -> View:
        return toy_view(self.game, self.regularizers, turn, reals=self.reals.clone(), key=key)

    def terms(
        self, turn: Turn = DISCRIMINATOR, key: tuple[int, ...] = (0,), view: View | None = None
    ) -> dict[str, dict[str, Tensor]]:
        """Terms of the regularizers alone; after the game's own objective, as in the engine."""
        view = self.view(turn, key) if view is None else view
        with randomness.using(view.stream), state.passing(moves=False):
            found = view.objectives()
        added = {
            player: {name: term for name, term in terms.items() if name != "adversarial"}
            for player, terms in found.items()
        }
        return {player: terms for player, terms in added.items() if terms}

    def term(
        self, name: str, turn: Turn = DISCRIMINATOR, key: tuple[int, ...] = (0,), view: View | None = None
    ) -> Tensor:
        return self.terms(turn, key, view)["discriminator"][name]
