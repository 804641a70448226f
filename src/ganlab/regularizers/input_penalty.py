"""The base of all penalties on the discriminator's input gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ganlab.contracts.address import Address
from ganlab.contracts.points import Points
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import MAIN, Terms
from ganlab.contracts.view import View
from ganlab.core.errors import one_of
from ganlab.regularizers.finite_difference import Slopes
from ganlab.regularizers.gradient_norm import squared_norm

EXACT = Slopes()

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
            k-th iteration, on the reals of the turn before, with k times the penalty, see `Address`: with one
            discriminator step an iteration the same expected gradient for a k-th of the cost.
        slopes: How the gradient's norm is found.

    Raises:
        ValueError: If an option is out of range.
    """

    needs: tuple[str, ...] = ("discriminator",)

    def __init__(self, name: str, points: str, interval_steps: int = 1, slopes: Slopes = EXACT) -> None:
        super().__init__()
        self.slopes = slopes
        one_of(points, POINTS, "points")
        self.name, self.points = name, points
        self.lazy = interval_steps > 1
        turn = name if self.lazy else MAIN
        self.addresses = (Address("discriminator", turn, interval_steps),)
        if not self.lazy and slopes.exact:
            self.input_gradients = tuple(role for role in points.split("_and_") if role != "interpolated")

    def penalty(self, squared: Tensor) -> Tensor:
        """Return the cost of each point, (B,), from ||dD/du||^2, (B,) float32."""
        raise NotImplementedError

    def penalty_of_difference(self, difference: Tensor) -> Tensor:
        """Return costs with the expectation of `penalty` where D is linear, from (D(x + eps n) - D(x)) / eps."""
        return self.penalty(difference.square())

    def at(self, view: View) -> tuple[Points, ...]:
        """Return the points u; the term is the mean of the costs of each kind."""
        return POINTS[self.points](view)

    def factor(self, points: Points, view: View) -> Tensor | None:
        """Return the factors of the points' costs, (B,); None for 1."""
        return None

    def terms(self, player: str, view: View) -> Terms:
        costs = []
        for points in self.at(view):
            if not self.slopes.exact:
                difference = self.slopes.differences(view, points)
                costs.append(self.penalty_of_difference(difference).mean())
                view.note(f"{player}/gradient_norm_{points.role}", difference.detach().square().mean().sqrt())
                continue
            squared = squared_norm(view.input_gradient(points))
            cost, factor = self.penalty(squared), self.factor(points, view)
            costs.append((cost if factor is None else factor * cost).mean())
            view.note(f"{player}/gradient_norm_{points.role}", squared.detach().sqrt().mean())
        return {self.name: torch.stack(costs).mean()}
