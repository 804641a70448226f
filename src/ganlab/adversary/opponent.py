"""The game of a discriminator against fakes that somebody else's loop makes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganlab.adversary import outputs
from ganlab.contracts.points import Points
from ganlab.contracts.turn import MAIN, Objectives, Turn
from ganlab.contracts.view import View
from ganlab.core.errors import GanlabError
from ganlab.games.standard import LOGITS, Standard

DISCRIMINATOR, GENERATOR = "discriminator", "generator"


@dataclass(eq=False)
class Samples(Points):
    """Samples of any shape (B, ...) with a condition of any kind, for a discriminator that takes one or none."""

    takes_condition: bool = True

    @property
    def conditions(self) -> tuple[Any, ...]:
        return (self.labels,) if self.takes_condition else ()


class Elsewhere(nn.Module):
    """A generator that somebody else's loop trains: it has no weights here.

    Args:
        image_shape: Shape of a sample; None: it is seen when samples come.
    """

    def __init__(self, image_shape: tuple[int, ...] | None) -> None:
        super().__init__()
        self.image_shape = image_shape


class Opponent(Standard):
    """The standard game's discriminator, whose fakes are made elsewhere; its logits may have any shape.

    The loss is taken of each map of logits, and averaged over its positions; of several maps it is the ``reduction``.
    Regularizers see all logits of a sample as (B, N); where they need one it is `per_image`.

    Args:
        discriminator: The network.
        loss: The adversarial loss.
        reduction: ``mean`` or ``sum`` over maps.
        feature_matching: Weight of E|f(x) - f(G(z))| over the features of all layers, in the generator's turn.
        image_shape: Of a sample, or None.
    """

    def __init__(
        self,
        *,
        discriminator: nn.Module,
        loss: Any,
        reduction: str = "mean",
        feature_matching: float = 0.0,
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.reduction, self.feature_matching = reduction, feature_matching
        super().__init__(generator=Elsewhere(image_shape), discriminator=discriminator, loss=loss)
        self.takes_condition = outputs.takes_condition(discriminator)
        self.needs_condition = outputs.takes_condition(discriminator, without=True)
        if feature_matching:
            self.show_reals(GENERATOR)
        self._sizes: tuple[int, ...] = (1,)
        self._layers: dict[str, list[Tensor]] = {}

    @functools.cached_property
    def compares(self) -> bool:
        """Tell if the generator's term needs real samples, once all regularizers are attached."""
        return any(t.reals is not None for t in self.all_turns() if t.has(GENERATOR) and t.name == MAIN)

    def samples(self, images: Tensor, condition: Any, role: str) -> Samples:
        """Return what a discriminator judges."""
        return Samples(images, condition, role, takes_condition=self.takes_condition)

    def forget(self) -> None:
        """Let go of the features of the last passes."""
        self._layers.clear()

    def judged(self, output: Any, points: Points | None = None) -> Tensor:
        maps, layers = outputs.read(output)
        if points is None:
            flat = [one.flatten(1) if one.ndim > 1 else one[:, None] for one in maps]
        else:
            flat = outputs.logits_of(maps, points.images.shape[0])
            sizes = tuple(one.shape[1] for one in flat)
            if sizes != self._sizes:
                self._sizes = sizes
            if self.feature_matching:
                self._layers[points.role] = layers
        whole = flat[0] if len(flat) == 1 else torch.cat(flat, 1)
        return whole.squeeze(1) if whole.shape[1] == 1 else whole

    def per_image(self, logits: Tensor) -> Tensor:
        """Return one logit a sample, (B,): the mean over a map's positions, then over the maps."""
        if logits.ndim == 1 or len(self._sizes) == 1:
            return super().per_image(logits)
        return torch.stack([one.mean(1) for one in logits.split(self._sizes, 1)]).mean(0)

    def objectives(self, loss: Any) -> dict[str, Callable[..., Tensor]]:
        return {player: self._over_maps(function) for player, function in super().objectives(loss).items()}

    def objective(self, turn: Turn, view: View) -> Objectives:
        found = super().objective(turn, view)
        if self.feature_matching and turn.has(GENERATOR):
            found[GENERATOR]["feature_matching"] = self.feature_matching * self._distance(view)
        return found

    def _over_maps(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @functools.wraps(function)  # its signature says what it needs
        def over(**arguments: Tensor) -> Tensor:
            if len(self._sizes) == 1:
                return function(**arguments)
            split = {name: value.split(self._sizes, 1) for name, value in arguments.items() if name in LOGITS}
            whole = {name: value for name, value in arguments.items() if name not in LOGITS}
            each = torch.stack(
                [function(**whole, **{name: maps[k] for name, maps in split.items()}) for k in range(len(self._sizes))]
            )
            return each.sum() if self.reduction == "sum" else each.mean()

        return over

    def _distance(self, view: View) -> Tensor:
        """E|f(x) - f(G(z))| of each layer, over all layers the ``reduction``."""
        with torch.no_grad():
            view.logits(view.reals)
        view.logits(view.fakes())
        real, fake = (self._layers.get(role, []) for role in ("real", "fake"))
        if not fake:
            raise GanlabError(
                "feature_matching needs the features of the discriminator's layers: let it return "
                "(logits, [feature, ...])."
            )
        each = torch.stack([(y - x.detach()).abs().mean() for x, y in zip(real, fake, strict=True)])
        return each.sum() if self.reduction == "sum" else each.mean()
