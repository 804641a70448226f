"""Turns of an adversary's game on samples that somebody else's loop hands over."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from ganlab.adversary.opponent import Opponent
from ganlab.contracts.plan import Progress, Slot
from ganlab.contracts.points import Points, mapped
from ganlab.contracts.turn import Objectives
from ganlab.core.randomness import Stream
from ganlab.engine.turns import Kept, Turns

Given = tuple[Tensor, Tensor | None, Any]
"""Fake samples, real ones, and the condition of both, without graphs."""


class Loop:
    """Evaluates turns on given samples.

    Args:
        game: The game.
        turns: The engine.
        seed: First part of every key of randomness.
    """

    def __init__(self, game: Opponent, turns: Turns, seed: int) -> None:
        self.game, self.turns, self.seed = game, turns, seed

    def objectives(self, slot: Slot, micro: int, given: Given, progress: Progress, kept: Kept) -> Objectives:
        """Return what the players of a turn minimise on one micro-batch.

        Args:
            micro: Its number in the iteration.
            given: Its samples, of which a turn may see a share.
            progress: That before the iteration.
            kept: Takes the scalars.
        """
        if slot.turn.batch < 1:
            size = max(1, round(len(given[0]) * slot.turn.batch))
            given = mapped(given, lambda x: x[:size])
        fake, real, condition = given
        stream = Stream(self.seed, progress.images_seen, slot.index, micro, device=fake.device)
        reals = self.game.samples(real, condition, "real") if slot.turn.reals and real is not None else None
        view, objectives = self.turns.objectives(
            slot.turn,
            stream,
            progress,
            batch=len(fake),
            reals=partial(_same, reals),
            fakes=self.game.samples(fake, condition, "fake"),
        )
        kept.add(slot.turn, objectives, view.scalars)
        return objectives


def given(fake: Tensor, real: Tensor | None, condition: Any) -> Given:
    """Return samples and their condition without graphs."""
    found: Given = mapped((fake, real, condition), torch.Tensor.detach)
    return found


def _same(points: Points | None) -> Points | None:
    return points
