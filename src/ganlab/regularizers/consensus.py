"""Consensus optimization."""

from __future__ import annotations

from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core.checks import at_least_zero
from ganlab.regularizers.attachment import show_reals
from ganlab.regularizers.player_norm import squared_player_gradient


class Consensus(Regularizer):
    """Consensus optimization: every player minimises in addition gamma/2 * ||v||^2, v the gradients of all.

    v = (df_D/dw_D, df_G/dw_G) with each player's own objective f, regularizers left out, and all
    players look for points where v = 0. Near one, gamma moves the eigenvalues of the vector field to the
    left, where small steps converge. The paper steps all players at once: ``game.update=simultaneous``; each
    player's turn takes v on its own batch, with real images in the generator's turn too. Under
    accumulation v is the micro-batch's.

    The main forward passes serve for it; it adds a backward pass through both networks and one through that.
    Networks that are compiled cannot be differentiated so.

    Source: Mescheder et al. 2017 (arXiv:1705.10461), section 4 and algorithm 2; authors' code
    github.com/LMescheder/TheNumericsOfGANs 68d915f, whose alpha is gamma.

    Args:
        gamma: Strength in the gamma/2 convention, at least 0; 10 in the authors' scripts, and 0.1 for their
            smallest network.

    Raises:
        ValueError: If ``gamma`` is negative or not finite.
    """

    needs = ("adversarial", "generator")
    provides = ("player_gradient",)

    def __init__(self, gamma: float = 10.0) -> None:
        super().__init__()
        self.gamma = at_least_zero("gamma", gamma)

    def attach(self, game: Game) -> None:
        self.player_gradients = tuple(game.players)
        self.addresses = tuple(Address(player) for player in game.players)
        super().attach(game)
        for player in game.players:
            show_reals(game, player, "consensus")

    def terms(self, player: str, view: View) -> Terms:
        return {"consensus": self.gamma / 2 * squared_player_gradient(view, self.player_gradients)}
