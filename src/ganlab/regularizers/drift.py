"""The drift penalty."""

from __future__ import annotations

from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Objectives, Turn
from ganlab.contracts.view import View
from ganlab.regularizers.attachment import owner
from ganlab.regularizers.input_penalty import checked_weight


class Drift(Regularizer):
    """Drift: weight * E[D(x)^2] at real images, which keeps the logits of a Wasserstein critic near 0.

    It shares the main forward pass.

    Source: Karras et al. 2018 (arXiv:1710.10196), appendix A.1: epsilon_drift = 0.001.

    Args:
        weight: At least 0.

    Raises:
        ValueError: If ``weight`` is negative or not finite.
    """

    needs = ("discriminator",)

    def __init__(self, weight: float = 1e-3) -> None:
        super().__init__()
        self.weight = checked_weight("weight", weight)
        self.player = "discriminator"

    def attach(self, game: Game) -> None:
        self.player = owner(game, "discriminator", "drift")

    def terms(self, turn: Turn, view: View) -> Objectives:
        if turn.name != "main" or not turn.has(self.player):
            return {}
        return {self.player: {"drift": self.weight * view.logits(view.reals).square().mean()}}
