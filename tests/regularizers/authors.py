"""The small network of fixtures/penalties.npz, and what the authors' code made of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from support.rehearsals import DISCRIMINATOR
from torch import Tensor, nn

from ganlab.contracts.points import Points
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Turn
from ganlab.contracts.view import View
from ganlab.core import randomness
from ganlab.games.standard import Standard
from ganlab.layers import state
from ganlab.losses.non_saturating import NonSaturating
from ganlab.testing import toy_view

with np.load(Path(__file__).parent / "fixtures" / "penalties.npz") as file:
    ARRAYS = {name: torch.from_numpy(file[name]) for name in file.files}


class Critic(nn.Module):
    """D(x) = w·(m tanh(W x + b)) with masks m that are used one after another where there are any."""

    num_classes = 0

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias, self.output = (nn.Parameter(ARRAYS[n].clone()) for n in ("weight", "bias", "output"))
        self.masks: list[Tensor] = []

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        hidden = torch.tanh(x.flatten(1) @ self.weight + self.bias)
        return hidden * self.masks.pop(0) if self.masks else hidden

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return (features @ self.output).squeeze(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.head(self.features(x, y), y)


class Maker(nn.Module):
    """G(z) = tanh(z V), at the fixture's z whatever is drawn."""

    num_classes, latent_dim = 0, 3

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Parameter(ARRAYS["generator"].clone())

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.tanh(ARRAYS["z"] @ self.generator).view(-1, 3, 2, 2)


def game(loss: object = None) -> Standard:
    return Standard(generator=Maker(), discriminator=Critic(), loss=loss or NonSaturating())


def view_of(play: Standard, regularizers: Sequence[Regularizer] = (), turn: Turn = DISCRIMINATOR) -> View:
    """A view of one turn whose interpolation weights are the fixture's (there the share of the fakes)."""
    view = toy_view(play, regularizers, turn, reals=ARRAYS["real"].view(-1, 3, 2, 2).clone())
    shares = {"interpolation": 1 - ARRAYS["share"].squeeze(1), "dragan share": ARRAYS["share"].squeeze(1)}
    shares["dragan"] = ARRAYS["noise"].view(-1, 3, 2, 2)
    draw = view.draw

    def given(purpose: str, shape: Sequence[int], distribution: Literal["normal", "uniform"] = "normal") -> Tensor:
        return shares.get(purpose, draw(purpose, shape, distribution))

    view.draw = given  # type: ignore[method-assign]
    return view


def term_and_gradient(
    regularizer: Regularizer, name: str, player: str = "discriminator", masks: Sequence[Tensor] = ()
) -> tuple[Tensor, Tensor]:
    """The term, and its gradient by the player's parameters as one vector."""
    play = game()
    regularizer.attach(play)
    assert isinstance(play.discriminator, Critic)
    play.discriminator.masks = list(masks)
    turn = next(t for t in play.all_turns() if t.has(player))
    view = view_of(play, [regularizer], turn)
    with randomness.using(view.stream), state.passing(moves=False):
        if not masks:  # fakes use no masks in the fixture
            play.objective(turn, view)
        value = regularizer.terms(player, view)[name]
    gradients = torch.autograd.grad(value, list(play.players[player].parameters()))
    return value.detach(), torch.cat([g.flatten() for g in gradients])


def published(name: str, factor: float = 1.0) -> tuple[Tensor, Tensor]:
    """Value and gradient of the authors' code, times ``factor``."""
    return factor * ARRAYS[f"{name}: value"], factor * ARRAYS[f"{name}: gradient"]


__all__ = ["ARRAYS", "Points", "game", "published", "term_and_gradient", "view_of"]
