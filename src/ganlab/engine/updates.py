"""The update rules: when the turns of an iteration are evaluated, and when and how their players step.

A rule gets the turns of an iteration, their real images, what evaluates one turn (it adds the gradients of the turn's
players to their parameters' ``.grad``), and the optimizers. With all but `alternating` the repetitions of a turn are
evaluated at one point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from ganlab.contracts.plan import Slot
from ganlab.contracts.turn import Turn
from ganlab.engine.player_optimizers import PlayerOptimizers
from ganlab.engine.reals import Reals

Evaluate = Callable[[Slot, Reals], None]
Rule = Callable[[Sequence[Slot], Reals, Evaluate, PlayerOptimizers], None]


def alternating(slots: Sequence[Slot], reals: Reals, evaluate: Evaluate, optimizers: PlayerOptimizers) -> None:
    """Turn after turn."""
    for slot in slots:
        evaluate(slot, reals)
        optimizers.step(slot.turn)


def simultaneous(slots: Sequence[Slot], reals: Reals, evaluate: Evaluate, optimizers: PlayerOptimizers) -> None:
    """All turns are evaluated, then all players step."""
    _evaluate_all(slots, reals, evaluate)
    optimizers.step(_together(slots))


def extragradient(slots: Sequence[Slot], reals: Reals, evaluate: Evaluate, optimizers: PlayerOptimizers) -> None:
    """Look ahead with the optimizers' own steps, then step from where we were with the gradients found there.

    With Adam this is ExtraAdam (arXiv:1802.10551, algorithm 4): the moments move in both.
    """
    together = _together(slots)
    origin = {player: [p.detach().clone() for p in optimizers.parameters[player]] for player in together.players}
    _evaluate_all(slots, reals, evaluate)
    optimizers.step(together, final=False)
    _evaluate_all(slots, reals, evaluate)
    optimizers.step(together, origin=origin)


def optimistic(slots: Sequence[Slot], reals: Reals, evaluate: Evaluate, optimizers: PlayerOptimizers) -> None:
    """w <- w + 2·Δ_t - Δ_(t-1), Δ the optimizers' own step (arXiv:1711.00141, algorithm 1)."""
    together = _together(slots)
    _evaluate_all(slots, reals, evaluate)
    weights = {player: [p.detach() for p in optimizers.parameters[player]] for player in together.players}
    origin = {player: [w.clone() for w in lists] for player, lists in weights.items()}
    optimizers.step(together)
    for player, lists in weights.items():
        step = torch._foreach_sub(lists, origin[player])
        torch._foreach_add_(lists, step)
        if player in optimizers.last_steps:
            torch._foreach_sub_(lists, optimizers.last_steps[player])
            torch._foreach_copy_(optimizers.last_steps[player], step)
        else:
            torch._foreach_sub_(lists, step)
            optimizers.last_steps[player] = list(step)


RULES: Mapping[str, Rule] = {
    "alternating": alternating,
    "simultaneous": simultaneous,
    "extragradient": extragradient,
    "optimistic": optimistic,
}
"""The rules by the names of `ganlab.contracts.game.UPDATES`."""


def _evaluate_all(slots: Sequence[Slot], reals: Reals, evaluate: Evaluate) -> None:
    reals.rewind()
    for slot in slots:
        evaluate(slot, reals)


def _together(slots: Sequence[Slot]) -> Turn:
    """Return one turn with the players of all of these."""
    return Turn(tuple(dict.fromkeys(player for slot in slots for player in slot.turn.players)))
