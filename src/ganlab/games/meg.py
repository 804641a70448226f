"""Maximum-entropy generators for energy-based models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from ganlab.contracts.game import Game
from ganlab.contracts.turn import MOST_REPEATS, Objectives, Turn
from ganlab.contracts.view import View
from ganlab.core import distributed
from ganlab.core.checks import at_least, at_least_zero
from ganlab.core.softplus import softplus


class MEG(Game):
    """Maximum-entropy generators: an energy E is learned, and G samples from it with the greatest entropy.

    E: E[E(x)] - E[E(G(z))] + score_penalty * E||dE/dx||^2 at reals
    G and T: E[E(G(z))] + information * L(T),  L(T) = 1/2 E[softplus(-T(G(z), z))] + 1/2 E[softplus(T(G(z), z'))]

    z' is z in another order, over all ranks. -L bounds the mutual information of z and G(z) (the Jensen-Shannon
    estimator), and so the entropy of G(z). It plays without an adversarial loss; the player ``discriminator`` has the
    energy, as -logit of any discriminator, and the player ``generator`` has G and the statistics network T.

    Source: Kumar et al. 2019 (arXiv:1901.08508), algorithm 1 and eqs. 4 to 6; L is that of the authors' code
    (github.com/ritheshkumar95/energy_based_generative_models). That code divides ||dE/dx||^2 by the
    number of pixels, H * W, and lets G play before E.

    Args:
        discriminator_steps: Turns of the energy in an iteration, 1 to 10,000; the paper's is 5.
        score_penalty: lambda, at least 0.
        per_pixel: Whether the penalty is divided by H * W, as in the authors' code.
        information: Weight of L, at least 0.
        update: ``alternating``, ``simultaneous``, ``extragradient`` or ``optimistic``.

    Raises:
        ValueError: If an option is out of range.
    """

    provides = ("discriminator", "entropy")
    input_gradients = ("real",)
    companions: ClassVar[Mapping[str, str]] = {"statistics": "meg"}

    def __init__(
        self,
        *,
        generator: nn.Module,
        discriminator: nn.Module,
        statistics: nn.Module,
        discriminator_steps: int = 5,
        score_penalty: float = 10.0,
        per_pixel: bool = False,
        information: float = 1.0,
        update: str = "alternating",
    ) -> None:
        super().__init__(update)
        self.generator, self.discriminator, self.statistics = generator, discriminator, statistics
        self.discriminator_steps, self.per_pixel = (
            at_least("discriminator_steps", discriminator_steps, 1, MOST_REPEATS),
            per_pixel,
        )
        self.score_penalty = at_least_zero("score_penalty", score_penalty)
        self.information = at_least_zero("information", information)
        self.add_modules("discriminator", discriminator=discriminator)
        self.add_modules("generator", generator=generator, statistics=statistics)

    def turns(self) -> Sequence[Turn]:
        return (
            Turn(("discriminator",), repeat=self.discriminator_steps, reals="fresh", counts=True),
            Turn(("generator",), reals=None),
        )

    def objective(self, turn: Turn, view: View) -> Objectives:
        objectives: Objectives = {}
        for player in turn.players:
            if player == "discriminator":
                real, fake = (-view.logits(points).mean() for points in (view.reals, view.fakes()))
                objectives[player] = {"energy": real - fake, "score": self.score_penalty * self._score(view)}
                view.note(f"{player}/real_energy", real)
                view.note(f"{player}/fake_energy", fake)
            elif player == "generator":
                energy = -view.logits(view.fakes()).mean()
                objectives[player] = {"energy": energy, "information": self.information * self._ignorance(view)}
        return objectives

    def _score(self, view: View) -> Tensor:
        """E||dE/dx||^2 at reals."""
        score = view.input_gradient(view.reals)  # of the logits: the sign does not matter
        squared = score.square().flatten(1).sum(1).mean()
        return squared / math.prod(score.shape[2:]) if self.per_pixel else squared

    def _ignorance(self, view: View) -> Tensor:
        """L(T): log 2 if T cannot tell which code an image was made of."""
        fakes, z = view.fakes(), view.z
        order = view.gather(view.draw("order of codes", (view.batch,), "uniform")).argsort()
        start = distributed.rank() * view.batch
        others = view.gather(z)[order[start : start + view.batch]]
        labels = None if fakes.labels is None else torch.cat([fakes.labels, fakes.labels])
        # one pass, so that what couples the images of a batch sees both kinds of pairs, as in the authors' code
        answers = view.run("statistics", torch.cat([fakes.images] * 2), torch.cat([z, others]), labels)
        joint, product = answers.chunk(2)
        return (softplus(-joint).mean() + softplus(product).mean()) / 2
