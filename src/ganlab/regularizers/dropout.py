"""Dropout in the discriminator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganlab.contracts.address import Address
from ganlab.contracts.game import Game
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.view import View
from ganlab.core import randomness
from ganlab.core.checks import checked
from ganlab.core.errors import GanlabError, suggestion
from ganlab.core.ranges import Filled, Range
from ganlab.core.uncompiled import uncompiled
from ganlab.layers import state

ENDS = ("images", "features")


class Dropout(Regularizer):
    """Dropout: numbers are set to 0 with probability ``rate``, and the others divided by 1 - rate.

    It is put behind modules of any discriminator, on the images that it sees or on its features, and
    acts on every pass in training, those of penalties and of the generator's turn too. Every pass draws
    its own mask, so two passes over the same images differ (CT-GAN). Masks are keyed by place, role of
    the images and rank: they depend neither on other components nor on the order of passes over
    different roles; as they key on the rank, N processes draw other masks than one.

    Source: Srivastava et al. 2014, Dropout: a simple way to prevent neural networks from overfitting
    (JMLR 15), sec. 4, scaled in training; the defaults are CT-GAN's (Wei et al. 2018, arXiv:1803.01541),
    whose CIFAR critic has them behind its last three blocks.

    Args:
        rates: Probability that a number is dropped, in [0, 1): one a place, or one for all.
        places: Paths of the discriminator's modules, such as ``blocks.1``, behind which it is put;
            ``images``: what the discriminator sees; ``features``: its last map before the head. Empty: the
            last modules of the discriminator's list ``blocks``, one a rate, with the last rates if it has
            fewer; without such a list, its features, with the last rate.

    Raises:
        ValueError: If a rate is out of range, a place is named twice, or there are several rates but not
            one for each place.
    """

    addresses = (Address("discriminator"),)
    provides = ("dropout",)

    def __init__(self, rates: tuple[float, ...] = (0.2, 0.5, 0.5), places: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.rates = (rates,) if isinstance(rates, (int, float)) else tuple(rates)
        self.places = (places,) if isinstance(places, str) else tuple(places)
        checked("rates", self.rates, Filled("a list of at least one number"))
        checked("rates", self.rates, Range(least=0, below=1))
        if len(set(self.places)) < len(self.places):
            raise ValueError(f"places must name each place once, got {list(self.places)}")
        if self.places and len(self.rates) not in (1, len(self.places)):
            raise ValueError(
                f"rates must be one number, or one for each of the {len(self.places)} places, got {list(self.rates)}"
            )
        self.needs = () if self.places else ("dropout_places",)
        self._rate_at: dict[str, float] = {}

    def attach(self, game: Game) -> None:
        super().attach(game)
        network = game.get_submodule("discriminator")
        modules = {path: module for path, module in network.named_modules() if path}
        places = self.places or _last_blocks(network, len(self.rates))
        rates = self.rates * len(places) if self.places and len(self.rates) == 1 else self.rates[-len(places) :]
        self._rate_at = dict(zip(places, rates, strict=True))
        for place, rate in self._rate_at.items():
            if place in modules:
                modules[place].register_forward_hook(_Hook(place, rate))
            elif place not in ENDS:
                raise GanlabError(
                    f"reg.dropout.places: the discriminator {type(network).__name__} has no module {place!r}."
                    f"{suggestion(place, [*modules, *ENDS])} Its modules: {', '.join(modules)}; or images, features."
                )
        if "features" not in self._rate_at or "features" in modules:
            self.idle_hooks = ("features",)
        elif not all(callable(getattr(network, name, None)) for name in ("features", "head")):
            raise GanlabError(
                f"reg=dropout: the discriminator {type(network).__name__} has no blocks, and no features with a head: "
                f"name modules as reg.dropout.places, of {', '.join(modules)}."
            )

    def images(self, images: Tensor, role: str, view: View) -> Tensor:
        return drop(images, "images", self._rate_at.get("images", 0.0), role) if self.training else images

    def features(self, features: Tensor, role: str, view: View) -> Tensor:
        return drop(features, "features", self._rate_at["features"], role) if self.training else features


@uncompiled
def drop(x: Tensor, place: str, rate: float, role: str) -> Tensor:
    """Return ``x`` with a mask of its own; outside of turns torch's generator draws it."""
    if rate == 0:
        return x
    stream = randomness.current()
    if stream is None:
        return F.dropout(x, rate)
    uniform = stream.draw_on_rank(f"dropout of {role} at {place}", x.shape, "uniform")
    return torch.where(uniform < rate, 0, x * (1 / (1 - rate)))


@dataclass(frozen=True)
class _Hook:
    """A forward hook that drops what a module gives."""

    place: str
    rate: float

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if not module.training:
            return output
        if not isinstance(output, Tensor):
            raise GanlabError(f"reg.dropout.places: {self.place} gives no single tensor; choose another place.")
        return drop(output, self.place, self.rate, state.role())


def _last_blocks(network: nn.Module, count: int) -> tuple[str, ...]:
    blocks = getattr(network, "blocks", None)
    names = [name for name, _ in blocks.named_children()] if isinstance(blocks, nn.Module) else []
    return tuple(f"blocks.{name}" for name in names[-count:]) or ("features",)
