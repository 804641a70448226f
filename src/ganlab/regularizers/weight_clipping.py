"""Weight clipping, WGAN's."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.core.checks import positive
from ganlab.regularizers.attachment import checked_players, networks, require_players


class WeightClipping(Regularizer):
    """Weight clipping: after each of a player's steps every parameter of its networks is clamped to [-limit, limit].

    That keeps a critic's slope below a constant which depends on its architecture. It goes with the
    Wasserstein loss and an optimizer without momentum (RMSProp in the paper). It makes no pass.

    Source: Arjovsky et al. 2017 (arXiv:1701.07875), algorithm 1: all parameters, biases included.

    Args:
        limit: c of the paper, positive.
        players: Whose networks.

    Raises:
        ValueError: If an option is out of range.
    """

    refuses = {  # noqa: RUF012
        "spectral_norm": "spectral normalization divides a weight by its norm, which undoes what clipping limits"
    }

    def __init__(self, limit: float = 0.01, players: tuple[str, ...] = ("discriminator",)) -> None:
        super().__init__()
        self.limit, self.players = positive("limit", limit), checked_players(players)
        self.addresses = tuple(Address(player, turn=None) for player in self.players)
        self._clipped: dict[str, list[Tensor]] = {}

    def attach(self, game: Game) -> None:
        require_players(game, self.players, "weight_clipping")
        super().attach(game)

    def prepare(self, game: Game) -> None:
        for player in self.players:
            modules = networks(game, player, "weight_clipping")
            trained = (p for module in modules for p in module.parameters() if p.requires_grad)
            self._clipped[player] = list(dict.fromkeys(trained))

    @torch.no_grad()
    def after_step(self, player: str) -> None:
        weights, limit = self._clipped[player], self.limit
        if isinstance(limit, Tensor):  # one for each weight, or its value would be read on the host
            torch._foreach_clamp_min_(weights, [-limit] * len(weights))
            torch._foreach_clamp_max_(weights, [limit] * len(weights))
            return
        torch._foreach_clamp_min_(weights, -limit)
        torch._foreach_clamp_max_(weights, limit)
