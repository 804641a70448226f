"""The linear map of one iteration near the equilibrium: update rule, step sizes, momentum, repetitions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganlab.contracts.plan import Progress, Slot, plan
from ganlab.dynamics.field import Field

_MOST_ITERATIONS = 64  # of lazy turns, after which the pattern of turns must have come back


@dataclass(frozen=True)
class Rates:
    """The numbers of a player's gradient descent.

    Args:
        lr: Step size h.
        momentum: μ: b <- μ b + g, w <- w - h b, which is w <- w - h g + μ (w - w_before), the heavy ball.
        nesterov: w <- w - h (g + μ b) instead.
        weight_decay: Times w, added to g.
    """

    lr: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0


def rates(field: Field) -> dict[str, Rates] | None:
    """Return the rates of each player; None if one has another optimizer than gradient descent."""
    found = {}
    for player, optimizer in field.play.optimizers.by_player.items():
        if not isinstance(optimizer, torch.optim.SGD) or len(optimizer.param_groups) != 1:
            return None
        group = optimizer.param_groups[0]
        if group["dampening"] or group["maximize"]:
            return None
        found[player] = Rates(group["lr"], group["momentum"], group["nesterov"], group["weight_decay"])
    return found


def flow(field: Field, of_players: dict[str, Rates] | None) -> Tensor:
    """Return the Jacobian (P, P) of dw/dt = -R v(w) at the equilibrium.

    R is the rate of each player over that of the first, the discriminator, and time is in units of that; it is 1
    where the optimizer has no such rate. The flow is stable if all real parts of its eigenvalues are negative.
    """
    scale = torch.ones(sum(field.play.sizes.values()), dtype=torch.float64)
    if of_players is not None:
        first = next(iter(of_players.values())).lr
        lrs = [
            torch.full((size,), of_players[p].lr / first, dtype=torch.float64) for p, size in field.play.sizes.items()
        ]
        scale = torch.cat(lrs)
    return -scale[:, None] * field.jacobian(field.play.problem.rest)


def iteration(field: Field, of_players: dict[str, Rates]) -> tuple[Tensor, int]:
    """Return the Jacobian of the map of some iterations at the equilibrium, and the number of these iterations.

    The state is (w, b, d): the weights, the momentum of each where a player has one, and the last step, of which the
    optimistic rule takes a part back. It is one iteration, or with turns in every k-th alone as many as it takes to
    come back to the first.
    """
    step = _Linear(field, of_players)
    total, count, period = torch.eye(3 * step.size, dtype=torch.float64), 0, _period(field)
    for count in range(1, period + 1):
        slots = plan(field.play.game, Progress(iteration=count - 1), field.play.batch).slots
        total = step.iteration(slots) @ total
    heavy = any(each.momentum for each in of_players.values())
    parts = [True, heavy, field.play.game.update == "optimistic"]
    kept = torch.tensor(parts).repeat_interleave(step.size)
    return total[kept][:, kept], count


def _period(field: Field) -> int:
    turns = field.play.game.all_turns()
    found = 1
    while any(found % turn.every for turn in turns):
        found += 1
        if found > _MOST_ITERATIONS:
            return 1
    return found


class _Linear:
    """The engine's update rules for a linear field, as matrices on the state (w, b, d)."""

    def __init__(self, field: Field, of_players: dict[str, Rates]) -> None:
        self.play, self.field = field.play, field
        self.size = sum(self.play.sizes.values())
        self.eye = torch.eye(3 * self.size, dtype=torch.float64)
        columns: dict[str, list[Tensor]] = {name: [] for name in ("lr", "momentum", "nesterov", "weight_decay")}
        for player, count in self.play.sizes.items():
            for name, values in columns.items():
                values.append(torch.full((count, 1), float(getattr(of_players[player], name)), dtype=torch.float64))
        self.of = {name: torch.cat(values) for name, values in columns.items()}

    def iteration(self, slots: tuple[Slot, ...]) -> Tensor:
        """Return the map of one iteration."""
        return getattr(self, f"_{self.play.game.update}")(slots)

    def _alternating(self, slots: tuple[Slot, ...]) -> Tensor:
        total = self.eye
        for slot in slots:
            total = self._step(total, self._gradient([slot], total), slot.turn.players)
        return total

    def _simultaneous(self, slots: tuple[Slot, ...]) -> Tensor:
        return self._step(self.eye, self._gradient(slots, self.eye), self._players(slots))

    def _extragradient(self, slots: tuple[Slot, ...]) -> Tensor:
        ahead = self._simultaneous(slots)
        back = torch.cat([self.eye[: self.size], ahead[self.size :]])
        return self._step(back, self._gradient(slots, ahead), self._players(slots))

    def _optimistic(self, slots: tuple[Slot, ...]) -> Tensor:
        p = self.size
        after = self._simultaneous(slots)
        step = after[:p] - self.eye[:p]
        moved = self._rows(self._players(slots))
        weights = after[:p] + moved * (step - self.eye[2 * p :])
        return torch.cat([weights, after[p : 2 * p], torch.where(moved > 0, step, self.eye[2 * p :])])

    def _gradient(self, slots: tuple[Slot, ...] | list[Slot], state: Tensor) -> Tensor:
        """Return the gradients (P, 3P) at the weights of ``state``; repetitions of a turn at one point are a mean."""
        rest, total = self.play.problem.rest, torch.zeros(self.size, self.size, dtype=torch.float64)
        for slot in slots:
            repeats = 1 if len(slots) == 1 else slot.turn.repeat
            total = total + self.field.jacobian_of(slot.turn, rest) / repeats
        return total @ state[: self.size]

    def _step(self, state: Tensor, gradient: Tensor, players: tuple[str, ...]) -> Tensor:
        p, moved = self.size, self._rows(players)
        gradient = gradient + self.of["weight_decay"] * state[:p]
        momentum = self.of["momentum"] * state[p : 2 * p] + gradient
        ahead = gradient + self.of["momentum"] * momentum
        step = torch.where(self.of["nesterov"] > 0, ahead, momentum)
        weights = state[:p] - moved * self.of["lr"] * step
        return torch.cat([weights, torch.where(moved > 0, momentum, state[p : 2 * p]), state[2 * p :]])

    def _rows(self, players: tuple[str, ...]) -> Tensor:
        shares = [
            torch.full((n, 1), float(player in players), dtype=torch.float64) for player, n in self.play.sizes.items()
        ]
        return torch.cat(shares)

    @staticmethod
    def _players(slots: tuple[Slot, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(player for slot in slots for player in slot.turn.players))
