"""Games for instruments to measure."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ganlab.contracts.game import Game
from ganlab.contracts.instrument import Images, Instrument, Subject
from ganlab.contracts.setting import Setting
from ganlab.priors import Normal


class Network(nn.Module):
    """A network that is its layers, one after the other: a generator, or a discriminator without a pooling head."""

    num_classes = 0

    def __init__(self, *layers: nn.Module, image_shape: tuple[int, ...] = (2,), latent_dim: int = 0) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.image_shape, self.latent_dim = image_shape, latent_dim

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        made: Tensor = self.layers(x)
        return made

    def head(self, features: Tensor, y: Tensor | None = None) -> Tensor:
        return features


class Parts(Game):
    """A game of the networks that are given, each of them a player."""

    def __init__(self, **networks: nn.Module) -> None:
        super().__init__()
        for name, network in networks.items():
            setattr(self, name, network)
            self.add_modules(name, **{name: network})


def subject(game: Game, splits: dict[str, Tensor] | None = None, **more: Any) -> Subject:
    """Return a game as instruments see it, with real images by split."""
    images = splits or {}

    def read(split: str, count: int) -> Images:
        return images[split][:count], None

    generator: Any = getattr(game, "generator", None)
    average = {} if generator is None else {"generator": generator}
    setting = Setting(Normal(), getattr(generator, "latent_dim", 0))
    counts = {split: len(x) for split, x in images.items()}
    return Subject(game, average, setting, 0, counts, read if images else None, **more)


def measured(instrument: Instrument, of: Subject) -> dict[str, float]:
    """Prepare an instrument and return the numbers of one measurement."""
    instrument.prepare(of)
    found = instrument.measure(of)
    assert all(isinstance(value, Tensor) and value.ndim == 0 and not value.requires_grad for value in found.values())
    return {name: value.item() for name, value in found.items()}
