"""Squared norms of players' gradients, for regularizers of the game's vector field."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.contracts.view import View


def squared_player_gradient(view: View, players: tuple[str, ...]) -> Tensor:
    """||v||^2 with v the gradients of the players' own objectives, each by the player's parameters.

    v is the mean over ranks, so that N processes square the gradient of the whole batch and not the mean of
    their squares. Float32 at least; differentiable by all parameters.
    """
    # one vector, so that there is one all-reduce; the loop over parameters is that of the gradient itself
    pieces = [g.reshape(-1) for player in players for g in view.player_gradient(player, create_graph=True)]
    return view.mean(torch.cat(pieces)).square().sum()
