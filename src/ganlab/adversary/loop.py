"""Turns of an adversary's game on samples that somebody else's loop hands over."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ganlab.adversary import inputs
from ganlab.adversary.opponent import DISCRIMINATOR, GENERATOR, Opponent
from ganlab.contracts.plan import Progress, Slot, plan
from ganlab.contracts.points import mapped
from ganlab.contracts.turn import Objectives
from ganlab.core.randomness import Stream
from ganlab.engine.player_optimizers import PlayerOptimizers
from ganlab.engine.turns import Kept, Turns, summed

Given = tuple[Tensor, Tensor | None, Any]
"""Fake samples, real ones, and the condition of both; of what no gradient goes through, without a graph."""


class Loop:
    """Plays iterations a call at a time, and counts them.

    Args:
        game: The game.
        turns: The engine.
        optimizers: The discriminator's.
        seed: First part of every key of randomness.
        accumulate: Micro-batches of an iteration, one a call.

    Attributes:
        progress: That of the next iteration.
        scalars: Those of the last calls by name.
    """

    def __init__(self, game: Opponent, turns: Turns, optimizers: PlayerOptimizers, seed: int, accumulate: int) -> None:
        self.game, self.turns, self.optimizers, self.seed, self.accumulate = game, turns, optimizers, seed, accumulate
        self.scalars: dict[str, Tensor] = {}
        self.progress = Progress()
        self.begin(accumulate)
        self._lazy: list[Given] = []  # the samples of an iteration, which turns of regularizers want at its end

    def begin(self, batch: int) -> None:
        """Begin an iteration.

        Args:
            batch: Samples of all its micro-batches, of all ranks.
        """
        self._shown = self.progress  # by the generator's terms, of which there are so many
        self._terms = 0
        self._plan = plan(self.game, self.progress, batch)

    def restart(self, progress: Progress) -> None:
        """Go on from a progress with a new iteration, and drop what an unfinished one has left."""
        self.progress = progress
        self.begin(self.accumulate)
        self._lazy.clear()
        self.optimizers.by_player[DISCRIMINATOR].zero_grad(set_to_none=True)
        self.optimizers.pending.forget()
        self.game.forget()
        self.turns.forget()
        self.turns.release()

    def play(self, micro: int, given: Given) -> dict[str, Tensor]:
        """Add a micro-batch to the discriminator's gradients, step after the last one, and return scalars."""
        kept = Kept(set())
        main, *lazy = (slot for slot in self._plan.slots if slot.turn.has(DISCRIMINATOR))
        self._add_gradients(main, micro, given, kept)
        if lazy:
            self._lazy.append(given)
        if micro == self.accumulate - 1:
            self.optimizers.step(main.turn)
            for slot in lazy:
                for index, one in enumerate(self._lazy):
                    self._add_gradients(slot, index, one, kept)
                self.optimizers.step(slot.turn)
            self._lazy.clear()
            self.progress = self._plan.advance(self.progress)
        self.game.forget()
        found = kept.means()
        self.scalars = {**{n: v for n, v in self.scalars.items() if n.startswith(GENERATOR)}, **found}
        return found

    def term(self, given: Given, differentiate: bool) -> tuple[Tensor, Tensor | None]:
        """Return the sum of the generator's terms in the iteration of the last call of `play`, and its gradient.

        Args:
            given: Samples; the fakes are a leaf.
            differentiate: False: the gradient by the fakes is not wanted. It is None, too, where there is none.
        """
        kept, total, slope = Kept(set()), [], None
        try:
            for slot in self._plan.slots:
                if slot.turn.has(GENERATOR):
                    objectives = self._objectives(slot, self._terms, given, self._shown, kept)
                    total += [summed(terms.values()) for terms in objectives.values()]
            value = torch.stack(total).sum() if len(total) > 1 else total[0]
            if differentiate and value.requires_grad:
                (slope,) = torch.autograd.grad(value, given[0], allow_unused=True)
        finally:  # after the backward pass, in which checkpointed networks make their forward pass again
            self.game.forget()
            self.turns.release()
        self._terms += 1
        self.scalars = {**self.scalars, **kept.means()}
        return value.detach(), slope

    def _add_gradients(self, slot: Slot, micro: int, given: Given, kept: Kept) -> None:
        objectives = self._objectives(slot, micro, given, self.progress, kept)
        inputs.check_graph(objectives)
        self.turns.backward(objectives, self.accumulate)

    def _objectives(self, slot: Slot, micro: int, given: Given, progress: Progress, kept: Kept) -> Objectives:
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
            batch=fake.shape[0],
            reals=None if reals is None else (lambda: reals),
            fakes=self.game.samples(fake, condition, "fake"),
        )
        kept.add(slot.turn, objectives, view.scalars)
        return objectives


def detached(given: Any) -> Any:
    """Return samples or a condition of them without graphs."""
    return None if given is None else mapped(given, _leaf)


def _leaf(x: Tensor) -> Tensor:
    return x.clone() if x.is_inference() else x.detach()  # autograd keeps no tensor of torch.inference_mode
