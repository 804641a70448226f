"""Players and turns: who steps, when, on which images.

A *player* is a set of modules with one optimizer. A *turn* evaluates the objectives of one or several players on
one batch and then steps them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

Terms = dict[str, Tensor]
"""Name -> scalar."""
Objectives = dict[str, Terms]
"""Objectives of the players: player -> its terms."""

MAIN = "main"
MOST_REPEATS = 10_000  # of a turn in an iteration, whose plan has a line for each


@dataclass(frozen=True)
class Turn:
    """One evaluation of some players' objectives on one batch, and then a step of each.

    Args:
        players: Who steps. Several: one evaluation, then all step.
        every: The turn is played in iterations whose number is divisible by this.
        repeat: How often the turn is played in such an iteration, at most `MOST_REPEATS`.
        batch: Its batch as a share of ``data.batch_size``.
        reals: ``fresh``: every repetition gets new real images; ``same``: those that the turn
            before had; None: the turn has no real images.
        counts: Whether its real images count as images seen (kimg).
        name: Tells it from other turns of the same players, such as a lazy regularizer's.
    """

    players: tuple[str, ...]
    every: int = 1
    repeat: int = 1
    batch: float = 1.0
    reals: Literal["fresh", "same"] | None = "same"
    counts: bool = False
    name: str = MAIN

    def has(self, player: str) -> bool:
        return player in self.players


@dataclass
class Player:
    """Modules that one optimizer trains, by the names that the game gives them.

    Args:
        modules: The networks; those that a regularizer adds come here too (in ``attach``).
        lazy_steps: Optimizer steps that lazy turns add to an iteration. Adam's learning rate and
            betas are corrected for them (StyleGAN2, arXiv:1912.04958, appendix B).
    """

    modules: dict[str, nn.Module]
    lazy_steps: float = 0.0

    def parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of all modules, each once."""
        return iter(dict.fromkeys(parameter for module in self.modules.values() for parameter in module.parameters()))
