"""The L2 penalty on weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.core.checks import at_least_zero
from ganlab.regularizers.attachment import checked_players, networks, require_players
from ganlab.regularizers.gradients import add_scaled


class L2(Regularizer):
    """L2: weight * sum of ||W||^2 over the weights of a player's networks.

    Every parameter of two or more dimensions counts; biases and vectors of normalization only with
    ``vectors``. Under spectral normalization W is the trained parameter ``original``.

    The term's gradient, 2 * weight * W, is added after the gradients were averaged over ranks; no graph is
    built, and no term is logged. It goes with the player's main turn only. Adam scales it like any gradient:
    weight decay that is decoupled from it is ``optimizer=adamw``'s.

    Source: Krogh & Hertz 1991, A simple weight decay can improve generalization (NeurIPS 4), eq. 1, with
    lambda/2 for ``weight``; on GANs: Kurach et al. 2019 (arXiv:1807.04720), whose code (compare_gan) takes the
    mean of ||W||^2 / 2 over the n kernels of the discriminator: its strength s is a ``weight`` of s / (2n).

    Args:
        weight: At least 0.
        players: Whose networks.
        vectors: Whether parameters of one dimension count too.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(
        self, weight: float = 1e-4, players: tuple[str, ...] = ("discriminator",), vectors: bool = False
    ) -> None:
        super().__init__()
        self.weight = at_least_zero("weight", weight)
        self.players, self.vectors = checked_players(players), vectors
        self.addresses = tuple(Address(player) for player in self.players)
        self._counted: dict[str, list[tuple[nn.Parameter, bool]]] = {}  # in order, each with True if it counts

    def attach(self, game: Game) -> None:
        require_players(game, self.players, "l2")
        super().attach(game)

    def prepare(self, game: Game) -> None:
        for player in self.players:
            modules = networks(game, player, "l2")
            own = {id(p) for module in modules for p in module.parameters() if self.vectors or p.ndim >= 2}
            self._counted[player] = [(p, id(p) in own) for p in game.players[player].parameters()]

    @torch.no_grad()
    def gradients(self, player: str, gradients: list[Tensor]) -> None:
        used = [(p, counts) for p, counts in self._counted[player] if p.grad is not None]
        pairs = [(g, p) for (p, counts), g in zip(used, gradients, strict=True) if counts]
        if pairs:
            add_scaled([g for g, _ in pairs], [p for _, p in pairs], 2 * self.weight)
