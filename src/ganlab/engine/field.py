"""The vector field of a game: the gradients of its players as a function of their weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from ganlab.contracts.plan import Progress, plan
from ganlab.contracts.turn import Turn
from ganlab.engine.module import GameModule
from ganlab.engine.reals import Batch


@contextmanager
def evaluating(module: GameModule, loader: Iterable[Batch]) -> Iterator[VectorField]:
    """Give the vector field of a game in a block, after which the module is as it was.

    Args:
        module: The game and how it is played, with the weights of a checkpoint.
        loader: The batches from ``module.progress`` on.
    """
    default, shares = torch.get_default_dtype(), module.setting.label_shares
    before, stage, dtype = module.progress, module.stage, module.dtype
    modes = [(each, each.training) for each in module.modules()]
    try:
        torch.set_default_dtype(torch.float64)
        module.double()
        module.train()
        module.setting.label_shares = None if shares is None else shares.to(module.device)
        module.progress = replace(before, iteration=0)  # in which each turn is played
        if (following := module.game.stage(before.images_seen)) is not None:
            module.grow_to(following)
        field = VectorField(module, next(iter(loader)))
        with field.prepared(before):
            yield field
    finally:
        torch.set_default_dtype(default)
        module.to(dtype)  # exact, as weights and state are those of before
        module.setting.label_shares = shares
        module.progress = before
        if stage is not None:
            module.grow_to(stage)
        for each, mode in modes:
            each.training = mode
        module.turns.forget()


class VectorField:
    """v(w): the gradient of each player's objective by its own weights, all players at the same weights w.

    It is made of the turns of the iteration that follows ``module.progress``: their images and draws, the terms of
    regularizers, and the gradients that regularizers give or change, before clipping. A turn that repeats counts once,
    and a turn that a regularizer adds every k iterations counts 1/k. All is evaluated in float64, each time with the
    state (of batch norm, of spectral norm) of before that iteration, so v is a function of w alone.

    Args:
        module: The game in float64, see `evaluating`.
        batch: The real images of the iteration.

    Attributes:
        weights: w (P,), of all players one after the other.
        sizes: The number of weights of each player, in that order.
    """

    def __init__(self, module: GameModule, batch: Batch) -> None:
        self._module, self._batch = module, batch
        trained = module.player_optimizers.parameters
        self._parameters = [p for parameters in trained.values() for p in parameters]
        self.sizes = {player: sum(p.numel() for p in parameters) for player, parameters in trained.items()}
        self.weights = torch.cat([p.detach().reshape(-1) for p in self._parameters])
        self._state: list[tuple[Tensor, Tensor]] = []

    @contextmanager
    def prepared(self, progress: Progress) -> Iterator[None]:
        """Surround evaluations in the iteration after ``progress``; after it buffers are as they were."""
        before = self._buffers()
        self._module.prepare(progress)
        self._state = self._buffers()
        try:
            yield
        finally:
            self._state = before
            self._restore()

    def __call__(self, weights: Tensor) -> Tensor:
        """Return v (P,) at weights (P,), and leave the module with its own."""
        module, seen = self._module, set[Turn]()
        slots = plan(module.game, module.progress, module.training_options.batch_size).slots
        reals, found = module.reals(self._batch), torch.zeros_like(weights)
        self._set(weights)
        try:
            for slot in slots:
                if slot.turn in seen:
                    if slot.fresh:
                        reals.next()
                    continue
                seen.add(slot.turn)
                module.turns.forget()  # weights may have changed
                module.evaluate(slot, reals)
                module.player_optimizers.gradients(slot.turn)
                share = 1.0 if module.game.owns(slot.turn) else 1 / slot.turn.every
                found.add_(module.player_optimizers.taken(slot.turn), alpha=share)
                self._restore()
        finally:
            self._set(self.weights)
        return found

    @torch.no_grad()
    def _set(self, weights: Tensor) -> None:
        parts = weights.split([p.numel() for p in self._parameters])
        torch._foreach_copy_(
            [p.detach() for p in self._parameters],
            [x.view(p.shape) for x, p in zip(parts, self._parameters, strict=True)],
        )

    def _buffers(self) -> list[tuple[Tensor, Tensor]]:
        return [(buffer, buffer.clone()) for buffer in self._module.buffers()]

    @torch.no_grad()
    def _restore(self) -> None:
        for buffer, value in self._state:
            buffer.copy_(value)
        self._module.player_optimizers.pending.forget()
