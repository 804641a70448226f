"""A small game that the engine plays, in float64, on a batch that is an expectation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import stateless

from ganlab.contracts.game import Game
from ganlab.contracts.plan import Progress, Slot, plan
from ganlab.contracts.regularizer import Regularizer, hooks_of
from ganlab.contracts.setting import Setting
from ganlab.contracts.turn import Turn
from ganlab.dynamics.problems import Problem
from ganlab.dynamics.quadrature import Quadrature
from ganlab.engine.player_optimizers import OptimizerFactory, PlayerOptimizers
from ganlab.engine.reals import Reals
from ganlab.engine.turns import Turns, summed
from ganlab.engine.updates import RULES


class Play:
    """A problem's game with its regularizers and optimizers, as the engine plays it.

    Every iteration has the same real points and the same draws, see `Quadrature`, so that an iteration is a map of the
    weights, of the state of regularizers and of that of optimizers.

    Args:
        problem: Of whose networks the game is.
        game: With regularizers attached.
        regularizers: By name.
        factories: A factory of each player's optimizer.
        prior: Of the latents.

    Attributes:
        optimizers: The players' optimizers.
        sizes: The number of weights of each player, in the order of w.
        batch: Real points, and fakes of a turn.
    """

    def __init__(
        self,
        problem: Problem,
        game: Game,
        regularizers: Mapping[str, Regularizer],
        factories: Mapping[str, OptimizerFactory],
        prior: Any,
    ) -> None:
        self.problem, self.game = problem, game
        self._modules = [game, *regularizers.values()]
        for module in self._modules:
            module.double().train()
        self.hooks = hooks_of(game, list(regularizers.values()))
        latent_dim = int(game.get_submodule("generator").latent_dim)  # type: ignore[arg-type]
        self._setting = Setting(prior=prior, latent_dim=latent_dim)
        self.optimizers = PlayerOptimizers(game, factories, self.hooks, self._setting)
        self._turns = Turns(game, self.hooks, self._setting, self.optimizers)
        self._parameters = [p for group in self.optimizers.parameters.values() for p in group]
        names = {id(p): name for name, p in game.named_parameters()}
        self._names = [names[id(p)] for p in self._parameters]
        self.sizes = {name: sum(p.numel() for p in group) for name, group in self.optimizers.parameters.items()}
        self._reals = problem.reals()
        self.batch = len(self._reals)
        self._buffers = [(b, b.clone()) for module in self._modules for b in module.buffers()]
        self.progress = Progress()
        self.begin(problem.rest)

    @property
    def has_buffers(self) -> bool:
        """Tell if networks or regularizers have state."""
        return bool(self._buffers)

    # --- weights

    @property
    def weights(self) -> Tensor:
        """w (P,), a copy."""
        return torch.cat([p.detach().reshape(-1) for p in self._parameters])

    @torch.no_grad()
    def set(self, weights: Tensor) -> None:
        """Set w (P,)."""
        for part, p in zip(self.parts(weights), self._parameters, strict=True):
            p.copy_(part)

    def begin(self, weights: Tensor) -> None:
        """Begin anew at ``weights`` (P,), with new optimizers and the first state of regularizers."""
        self.set(weights)
        self.restore()
        self.progress = Progress()
        self.optimizers.take(self.optimizers.make())
        self.optimizers.last_steps.clear()

    @torch.no_grad()
    def restore(self) -> None:
        """Give all buffers their first values."""
        for buffer, value in self._buffers:
            buffer.copy_(value)
        self.optimizers.pending.forget()
        self._turns.forget()

    # --- turns

    def slots(self) -> tuple[Slot, ...]:
        """Return the evaluations of the next iteration, in order."""
        return plan(self.game, self.progress, self.batch).slots

    def iterate(self) -> None:
        """Play one iteration."""
        slots = self.slots()
        for hook in self.hooks.before_iteration:
            hook(self.progress)
        RULES[self.game.update](slots, self._real_batches(slots), self._evaluate, self.optimizers)
        self.progress = replace(self.progress, iteration=self.progress.iteration + 1)

    def gradient(self, turn: Turn) -> Tensor:
        """Return the gradients (P,) that the turn's players get at the present weights, 0 for the others."""
        self._turns.forget()
        objectives = self._objectives(self._turns, turn)
        self._turns.backward(objectives)
        self.optimizers.gradients(turn)
        found = self.optimizers.taken(turn)
        self.restore()
        return found

    def traced(self, turn: Turn, weights: Tensor) -> Tensor:
        """Return what `gradient` does at ``weights`` (P,), as a function of them that can be traced.

        Hooks that change gradients are left out.
        """
        own = [part.detach().requires_grad_() for part in self.parts(weights)]
        with stateless._reparametrize_module(self.game, dict(zip(self._names, own, strict=True))):
            objectives = self._objectives(self._turns, turn)
            found, at = [], 0
            for player, group in self.optimizers.parameters.items():
                mine, at = own[at : at + len(group)], at + len(group)
                terms = objectives.get(player, {}) if turn.has(player) else {}
                total = summed(terms.values()) if terms else None
                if total is None or not total.requires_grad:
                    found += [torch.zeros_like(part) for part in mine]
                else:
                    found += torch.autograd.grad(total, mine, materialize_grads=True)
        return torch.cat([part.detach().reshape(-1) for part in found])

    def parts(self, weights: Tensor) -> list[Tensor]:
        """Return w (P,) as the tensors of the networks."""
        sizes = [p.numel() for p in self._parameters]
        return [part.view_as(p) for part, p in zip(weights.split(sizes), self._parameters, strict=True)]

    def _objectives(self, turns: Turns, turn: Turn) -> Any:
        slot = Slot(turn, 0, round(self.batch * turn.batch), turn.reals == "fresh")
        reals = self._real_batches([slot])
        reals.next()
        return self._objectives_of(turns, slot, reals)

    def _objectives_of(self, turns: Turns, slot: Slot, reals: Reals) -> Any:
        stream, size = Quadrature("dynamics"), slot.batch
        points = (lambda: reals.points(0, size, stream, torch.float64)) if slot.turn.reals else None
        _, objectives = turns.objectives(slot.turn, stream, self.progress, batch=size, reals=points)
        return objectives

    def _evaluate(self, slot: Slot, reals: Reals) -> None:
        if slot.fresh:
            reals.next()
        parts = 1 if self.game.update == "alternating" else slot.turn.repeat
        self._turns.backward(self._objectives_of(self._turns, slot, reals), parts)

    def _real_batches(self, slots: Any) -> Reals:
        count = max(1, sum(slot.fresh for slot in slots))
        return Reals({"images": [self._reals] * count, "labels": [None] * count}, channels_last=False)
