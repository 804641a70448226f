"""Top-k training."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.view import View
from ganlab.core.checks import share as checked_share
from ganlab.core.errors import GanlabError


class TopK(Regularizer):
    """Top-k training: the generator learns from those of its images that D finds most real.

    In the generator's turn its loss sees the k largest of the fakes' logits, k = share * B rounded, at least 1;
    a loss that compares with reals sees those that the kept fakes are paired with. The B fakes are those of all
    ranks; under accumulation they are a micro-batch's. The paper starts with all and lets the share fall to
    0.5 or 0.75: reg.top_k.share={from:1,to:0.5,end_kimg:5000,shape:exponential}. It makes no pass.

    Source: Sinha et al. 2020 (arXiv:2002.06224), algorithm 1 and section 3.

    Args:
        share: k / B, above 0 and at most 1.

    Raises:
        ValueError: If ``share`` is out of range.
    """

    addresses = (Address("generator"),)
    provides = ("selection",)
    needs = ("adversarial",)
    refuses = {  # noqa: RUF012
        "player_gradient": "what is left of a batch after top_k is no batch of the discriminator's own objective"
    }
    host_options = ("share",)

    def __init__(self, share: float = 0.5) -> None:
        super().__init__()
        self.share = checked_share("share", share, zero=False)

    def attach(self, game: Game) -> None:
        super().attach(game)
        self.player, judge = game.owner("generator"), game.owner("discriminator")
        if any(turn.has(self.player) and turn.has(judge) for turn in game.turns()):
            raise GanlabError(
                "reg=top_k leaves out fakes in the generator's turn only, but in this game both players share one."
            )

    def scores(self, real_logits: Tensor | None, fake_logits: Tensor, view: View) -> tuple[Tensor | None, Tensor]:
        if not view.turn.has(self.player):
            return real_logits, fake_logits
        everyone = view.gather(fake_logits)
        best, kept = torch.topk(view.game.per_image(everyone), max(1, round(self.share * len(everyone))))
        if everyone.ndim > 1:
            best = everyone[kept]
        if real_logits is not None and len(real_logits) == len(fake_logits):
            real_logits = view.gather(real_logits)[kept]
        return real_logits, best
