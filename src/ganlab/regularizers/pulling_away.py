"""The pulling-away term."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.passes import ViewedGame
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core.checks import at_least_zero


class PullingAway(Regularizer):
    """Pulling-away term: the codes of the fakes of a batch point into different directions.

    G: weight * 1/(N (N - 1)) * sum over i != j of (S_i·S_j / (||S_i|| ||S_j||))^2

    S_i is the code of fake i if the discriminator is an auto-encoder, as in the paper, and else its features, as one
    vector. N is the batch over all ranks; under accumulation it is the micro-batch.

    Source: Zhao et al. 2017 (arXiv:1609.03126), eq. 4; weight 0.1.

    Args:
        weight: At least 0.

    Raises:
        ValueError: If ``weight`` is negative or not finite.
    """

    addresses = (Address("generator"),)
    needs = ("discriminator", "embedding")

    def __init__(self, weight: float = 0.1) -> None:
        super().__init__()
        self.weight = at_least_zero("weight", weight)

    def attach(self, game: Game) -> None:
        super().attach(game)
        game.owner("discriminator")
        if _encodes(game):
            self.idle_hooks = ("features",)

    def features(self, features: Tensor, role: str, view: View) -> Tensor:
        view.notes.setdefault((self, role), features)  # of the pass that the loss makes: none of its own
        return features

    def terms(self, player: str, view: View) -> Terms:
        fakes = view.fakes()
        if _encodes(view.game):  # its logits come from a pass that keeps the code to itself
            code = view.run("discriminator", view.seen(fakes), method="encode", part_of=fakes, role=fakes.role)
        else:
            view.logits(fakes)
            code = view.notes[self, fakes.role]
        return {"pulling_away": self.weight * pulling_away(code.flatten(1), view)}


def _encodes(game: Game | ViewedGame) -> bool:
    return callable(getattr(game.get_submodule("discriminator"), "encode", None))


def pulling_away(code: Tensor, view: View) -> Tensor:
    """Mean squared cosine of this rank's rows of (B, K) with all others' rows: its mean over ranks is the term."""
    code = F.normalize(code.float() if code.dtype in (torch.bfloat16, torch.float16) else code, dim=1)
    everyone = view.gather(code)
    itself = code.square().sum(1).square()  # 1, or 0 for a code of zeros
    total = (code @ everyone.T).square().sum() - itself.sum()
    return total / (len(code) * max(len(everyone) - 1, 1))
