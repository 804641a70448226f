"""Trajectories of small games by the engine's own update rules and optimizers, from several starts."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ganlab.contracts.hooks import Hooks
from ganlab.contracts.plan import Progress, plan
from ganlab.contracts.setting import Setting
from ganlab.contracts.turn import Player
from ganlab.dynamics.field import Field
from ganlab.dynamics.play import Play
from ganlab.dynamics.problems import Problem
from ganlab.engine.player_optimizers import PlayerOptimizers
from ganlab.engine.updates import RULES

NEAR = 1e-4  # distance of the start near the equilibrium, times the problem's radius
_ANGLES = (0.6, 2.2, 3.9)  # of the starts in each plane, in radians
_MANY = 50  # iterations for which it is worth to record the gradients of so many starts
_FAR = 1e9  # a trajectory that gets so far is not followed on


def starts(problem: Problem) -> Tensor:
    """Return starts (S, P): one near the equilibrium, then some at a distance of one and two radii."""
    offsets = torch.zeros(len(_ANGLES), len(problem.equilibrium), dtype=torch.float64)
    for i, angle in enumerate(_ANGLES):
        for across, up in problem.planes:
            offsets[i, across] = math.cos(angle) / math.sqrt(len(problem.planes))
            offsets[i, up] = math.sin(angle) / math.sqrt(len(problem.planes))
    scales = torch.tensor([NEAR, 1.0, 2.0], dtype=torch.float64)[:, None] * problem.radius
    return problem.rest + scales * offsets


def simulate(field: Field, begin: Tensor, iterations: int) -> Tensor:
    """Return the weights (K + 1, S, P) of K iterations from starts (S, P).

    Where a trajectory gets very far, what follows is not a number.
    """
    with torch.no_grad():
        alone = _has_state(field.play)
    return _played(field.play, begin, iterations) if alone else _together(field, begin, iterations)


def _has_state(play: Play) -> bool:
    """Tell if an iteration depends on more than weights and optimizers, or changes weights otherwise."""
    hooks = play.hooks
    return bool(hooks.before_iteration or hooks.during or hooks.gradients or hooks.after_step or play.has_buffers)


def _played(play: Play, begin: Tensor, iterations: int) -> Tensor:
    """Play each start by itself."""
    found = torch.full((iterations + 1, *begin.shape), math.nan, dtype=torch.float64)
    for s, start in enumerate(begin):
        play.begin(start)
        found[0, s] = start
        for k in range(iterations):
            play.iterate()
            found[k + 1, s] = play.weights
            if not found[k + 1, s].abs().max() < _FAR:
                break
    play.begin(play.problem.rest)
    return found


def _together(field: Field, begin: Tensor, iterations: int) -> Tensor:
    """Play all starts at a time, with the same optimizers and rules, on recorded gradients."""
    crowd = _Crowd(field, begin, iterations)
    found = [begin]
    for k in range(iterations):
        crowd.iterate(k)
        weights = crowd.weights()
        found.append(weights.where(weights.abs().amax(1, keepdim=True) < _FAR, math.nan))
        if found[-1].isnan().all():
            break
    found += [torch.full_like(begin, math.nan)] * (iterations + 1 - len(found))
    return torch.stack(found)


class _Crowd:
    """S copies of a game's players; each has parameters of its own, so that no optimizer mixes them."""

    def __init__(self, field: Field, begin: Tensor, iterations: int) -> None:
        self.field, self.game = field, field.play.game
        sizes = field.play.sizes
        self.parameters = {
            player: [nn.Parameter(part.clone()) for part in column]
            for player, column in zip(sizes, begin.split(list(sizes.values()), 1), strict=True)
        }
        copies = {
            player: Player({"copies": nn.ParameterList(group)}, field.play.game.players[player].lazy_steps)
            for player, group in self.parameters.items()
        }
        setting = Setting(prior=lambda draw, batch, dim: draw("latents", (batch, dim), "normal"), latent_dim=0)
        game = _Players(copies)
        self.optimizers = PlayerOptimizers(game, field.play.optimizers.factories, Hooks(), setting)  # type: ignore[arg-type]
        self.optimizers.take(self.optimizers.make())
        self.size, self.recorded = len(begin), iterations >= _MANY

    def weights(self) -> Tensor:
        return torch.cat([torch.stack([p.detach() for p in group]) for group in self.parameters.values()], 1)

    def iterate(self, iteration: int) -> None:
        slots = plan(self.game, Progress(iteration=iteration), self.field.play.batch).slots
        RULES[self.game.update](slots, _NoReals(), self._evaluate, self.optimizers)  # type: ignore[arg-type]

    def _evaluate(self, slot, reals) -> None:  # type: ignore[no-untyped-def]
        of = self.field.of(slot.turn)
        gradients = of.for_many_calls(self.size) if self.recorded else of.batched
        parts = 1 if self.game.update == "alternating" else slot.turn.repeat
        gradient = gradients(self.weights()) / parts
        columns = gradient.split(list(self.field.play.sizes.values()), 1)
        for (player, group), column in zip(self.parameters.items(), columns, strict=True):
            if player in slot.turn.players:
                for p, own in zip(group, column, strict=True):
                    p.grad = own.clone() if p.grad is None else p.grad + own


class _Players:
    """The part of a game that `PlayerOptimizers` asks for."""

    def __init__(self, players: dict[str, Player]) -> None:
        self.players = players


class _NoReals:
    """The real points of recorded gradients, which have them inside."""

    def rewind(self) -> None:
        return
