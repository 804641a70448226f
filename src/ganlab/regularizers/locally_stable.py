"""The regularizer of Nagarajan and Kolter."""

from __future__ import annotations

from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core.checks import at_least_zero
from ganlab.regularizers.attachment import show_reals
from ganlab.regularizers.player_norm import squared_player_gradient


class LocallyStable(Regularizer):
    """The generator minimises in addition weight * ||df_D/dw_D||^2, f_D the discriminator's own objective.

    A generator that leaves D no slope to climb is one that D cannot tell from the data: the generator
    looks ahead by one step of its opponent, and equilibria become locally stable, those of the Wasserstein
    loss included. f_D is taken without regularizers, on the generator's fakes and as many real images, which
    its turn gets for it; under accumulation it is the micro-batch's.

    The generator's forward passes serve for it; the reals need one of their own. It adds a backward pass through D
    and one through that. Networks that are compiled cannot be differentiated so.

    Source: Nagarajan & Kolter 2017 (arXiv:1706.04156), section 4; the weight is that of the authors' code
    (github.com/locuslab/gradient_regularized_gan c1f6127).

    Args:
        weight: eta of the paper, at least 0.

    Raises:
        ValueError: If ``weight`` is negative or not finite.
    """

    addresses = (Address("generator"),)
    needs = ("adversarial",)
    provides = ("player_gradient",)

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.weight = at_least_zero("weight", weight)

    def attach(self, game: Game) -> None:
        super().attach(game)
        self.player_gradients = (game.owner("discriminator"),)
        show_reals(game, game.owner("generator"), "locally_stable")

    def terms(self, player: str, view: View) -> Terms:
        return {"locally_stable": self.weight * squared_player_gradient(view, self.player_gradients)}
