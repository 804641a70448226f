"""What all penalties on the discriminator's input gradient share: where, when and for whom."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ganlab.contracts.game import Game
from ganlab.contracts.points import Points
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Objectives, Turn
from ganlab.contracts.view import View
from ganlab.core.errors import one_of
from ganlab.regularizers.attachment import owner
from ganlab.regularizers.gradient_norm import squared_norm

POINTS: dict[str, Callable[[View], tuple[Points, ...]]] = {
    "interpolated": lambda view: (view.interpolated(),),
    "real": lambda view: (view.reals,),
    "fake": lambda view: (view.fakes(grad=False),),
    "real_and_fake": lambda view: (view.reals, view.fakes(grad=False)),
}


class InputPenalty(Regularizer):
    """A term of the discriminator's player: the mean of a function of ||dD/du||^2 over points u.

    The gradient is that of the sum of logits, in float32 with autocast off, and shared by all penalties
    at the same points. It goes through whatever the discriminator goes through (an information
    bottleneck, augmentation). At reals and fakes it shares the main forward pass where that was made
    in float32 and eagerly; at interpolates, in a turn of its own, under mixed precision and with
    ``compile=true`` it makes one of its own.

    Args:
        name: Name of the penalty, of its term, and of the turn of its own.
        points: ``interpolated`` (a·real + (1 - a)·fake, a ~ U[0, 1) one an image), ``real``, ``fake`` or
            ``real_and_fake`` (the mean of both).
        interval_steps: 1: a term in every turn of the discriminator. k > 1: a turn of its own, in every
            k-th iteration, on the reals of the turn before, with k times the penalty: with one
            discriminator step an iteration the same expected gradient for a k-th of the cost (lazy
            regularization, StyleGAN2, arXiv:1912.04958, appendix B; the engine corrects Adam's rates
            for the additional steps).

    Raises:
        ValueError: If an option is out of range.
    """

    needs: tuple[str, ...] = ("discriminator",)

    def __init__(self, name: str, points: str, interval_steps: int = 1) -> None:
        super().__init__()
        one_of(points, POINTS, "points")
        if interval_steps < 1:
            raise ValueError(f"interval_steps must be at least 1, got {interval_steps}")
        self.name, self.points, self.interval_steps = name, points, interval_steps
        self.player = "discriminator"
        self.turn_name = "main"
        if interval_steps > 1:
            self.turn_name = name
        else:
            self.input_gradients = tuple(role for role in points.split("_and_") if role != "interpolated")

    def penalty(self, squared: Tensor) -> Tensor:
        """What each point costs, (B,), from ||dD/du||^2, (B,) float32."""
        raise NotImplementedError

    def at(self, view: View) -> tuple[Points, ...]:
        """The points u; the term is the mean of what each kind costs."""
        return POINTS[self.points](view)

    def factor(self, points: Points, view: View) -> Tensor | None:
        """What each point's cost is multiplied by, (B,); None for 1."""
        return None

    def attach(self, game: Game) -> None:
        self.player = owner(game, "discriminator", self.name)
        if self.interval_steps > 1:
            game.add_turn(Turn((self.player,), every=self.interval_steps, reals="same", name=self.turn_name))

    def terms(self, turn: Turn, view: View) -> Objectives:
        if turn.name != self.turn_name or not turn.has(self.player):
            return {}
        costs = []
        for points in self.at(view):
            squared = squared_norm(view.input_gradient(points))
            cost, factor = self.penalty(squared), self.factor(points, view)
            costs.append((cost if factor is None else factor * cost).mean())
            if view.logged:
                view.note(f"{self.player}/gradient_norm_{points.role}", squared.detach().sqrt().mean())
        return {self.player: {self.name: self.interval_steps * torch.stack(costs).mean()}}


def checked_weight(name: str, value: float) -> float:
    """``value`` as a float, or ``ValueError`` if it is negative or not finite."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be finite and at least 0, got {value}")
    return float(value)
