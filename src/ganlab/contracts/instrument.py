"""Instruments: measurements of a run between two iterations, in training or of its checkpoints afterwards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from ganlab.contracts.extractor import Extractor
from ganlab.contracts.game import Game
from ganlab.contracts.setting import Setting
from ganlab.core.randomness import Stream, using
from ganlab.layers import state
from ganlab.sampling import generation, styles

Images = tuple[Tensor, Tensor | None]
"""Float (N, C, H, W) in [-1, 1] on the networks' device, and int64 (N,) labels or None."""
_BATCH = 64  # images that go through a network together


class Field(Protocol):
    """The vector field v(w) of a game: the gradient of each player's objective by its own weights.

    Attributes:
        weights: w (P,), float64, of all players one after the other.
        sizes: The number of weights of each player, in that order.
    """

    @property
    def weights(self) -> Tensor: ...

    @property
    def sizes(self) -> Mapping[str, int]: ...

    def __call__(self, weights: Tensor) -> Tensor:
        """Return v (P,) at weights (P,)."""


@dataclass
class Subject:
    """The run that is measured: its networks as they are, after an iteration or from a checkpoint.

    All ranks have the same one, and measure the same numbers.

    Args:
        game: The networks that are trained, by player.
        average: The averaged networks by name: ``generator``.
        setting: The prior of the latents, and the shares of the labels.
        seed: The run's, the first part of all keys.
        counts: Images of each split of the data; empty where the run has no data.
        read: ``read(split, count)``: the first ``count`` images of a keyed order of a split, as the discriminator sees
            real ones at the present stage of growth. They are decoded once.
        extractor: ``extractor(name)``: a prepared feature extractor on the networks' device; None: the one by which the
            run is scored.
        vector_field: Gives the game's vector field, as the iteration after a checkpoint has it, in a block; None in
            training.
    """

    game: Game
    average: Mapping[str, nn.Module]
    setting: Setting
    seed: int
    counts: Mapping[str, int] = field(default_factory=dict)
    read: Callable[[str, int], Images] | None = None
    extractor: Callable[[str | None], Extractor] | None = None
    vector_field: Callable[[], AbstractContextManager[Field]] | None = None
    _latents: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False)

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        return next(self.game.parameters()).device

    @property
    def discriminator(self) -> nn.Module:
        """The network that judges images.

        Raises:
            ValueError: If the game has none that gives a logit for an image.
        """
        network = getattr(self.game, "discriminator", None)
        if not isinstance(network, nn.Module):
            raise ValueError("the game has no discriminator: leave this instrument out")
        wanted = [p for p in signature(network.forward).parameters.values() if p.default is p.empty]
        if not hasattr(network, "head") or len(wanted) > 2:
            raise ValueError(
                f"the discriminator is a {type(network).__name__}, which judges no image alone: "
                f"leave this instrument out"
            )
        return network

    def logits(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Return the discriminator's logits (N,) of images, in evaluation mode, without regularizers."""
        network = self.discriminator
        with self.measuring(network):
            parts = [
                network(images[at : at + _BATCH], None if labels is None else labels[at : at + _BATCH])
                for at in range(0, len(images), _BATCH)
            ]
        return torch.cat(parts).float()

    @property
    def generator(self) -> nn.Module:
        """The generator that is trained.

        Raises:
            ValueError: If the game has none.
        """
        network = getattr(self.game, "generator", None)
        if not isinstance(network, nn.Module):
            raise ValueError("the game has no generator: leave this instrument out")
        return network

    def reals(self, split: str, count: int) -> Images:
        """Return at most ``count`` real images of a split: always the same ones.

        Raises:
            ValueError: If there is none.
        """
        if self.read is None or not self.counts.get(split):
            raise ValueError(f"the run has no {split} images")
        return self.read(split, min(count, self.counts[split]))

    def fakes(self, count: int, *, averaged: bool) -> Images:
        """Return generated images from the latents of the run's sample grids, classes in turn.

        Args:
            averaged: By the averaged generator, or else by the one that is trained.
        """
        network: Any = self.average["generator"] if averaged else self.generator
        if count not in self._latents:
            self._latents[count] = generation.latents(self.setting.prior, self.seed, count, network.latent_dim)
        parameter = next(network.parameters())
        z = self._latents[count] = self._latents[count].to(parameter)
        classes = int(getattr(network, "num_classes", 0))
        y = torch.arange(count, device=z.device) % classes if classes else None
        with self.measuring(network), torch.no_grad():
            parts = [
                self._made(network, z[at : at + _BATCH], None if y is None else y[at : at + _BATCH], at)
                for at in range(0, count, _BATCH)
            ]
        return torch.cat(parts), y

    def _made(self, network: Any, z: Tensor, y: Tensor | None, start: int) -> Tensor:
        if styles.has_styles(network):
            return styles.images(network, z, y, styles.Style(), self.seed, start).float()
        made: Tensor = network(z, y)
        return made.float()

    @contextmanager
    def measuring(self, *networks: nn.Module) -> Iterator[None]:
        """Have networks in evaluation mode, without moving their state and with keyed draws, and put all back."""
        modes = [(module, module.training) for network in networks for module in network.modules()]
        with ExitStack() as stack:
            stack.enter_context(using(Stream(self.seed, "watch", device=self.device)))
            stack.enter_context(state.passing(moves=False))
            for network in networks:
                network.eval()
            try:
                yield
            finally:
                for module, mode in modes:
                    module.training = mode


@dataclass(frozen=True)
class Step:
    """One step of a player's optimizer that stays, with the gradients in ``.grad``: averaged over ranks, changed by
    regularizers, and not yet clipped.

    Args:
        player: Its name.
        parameters: What the player trains.
        limit: Maximal norm of the gradients, from which on they are clipped, or None.
    """

    player: str
    parameters: Sequence[nn.Parameter]
    limit: float | None = None


Observer = Callable[[Step], AbstractContextManager[None]]
"""Called before a step; its context ends after it."""


class Instrument(ABC):
    """A component of the group ``ganlab.instruments``; its constructor's signature is its options.

    `measure` is called between two iterations and changes nothing of the run. Its numbers depend on what a checkpoint
    has (networks, averages, moments), the data and the seed alone: `ganlab watch RUN` makes the same ones afterwards.
    It leaves its numbers on the device, as `recording` reads them: nothing of it waits for the device.

    Names are ``INSTRUMENT/QUANTITY``, ``INSTRUMENT/PLAYER/QUANTITY`` or ``INSTRUMENT/PLAYER/LAYER/QUANTITY``; a page
    draws the layers of a player together.

    Attributes:
        cost: What a measurement costs, in one line.
        iterations: The number of iterations up to a measurement whose steps it is shown by `observe`; 0: none.
    """

    cost: ClassVar[str] = ""
    iterations: ClassVar[int] = 0

    def prepare(self, subject: Subject) -> None:  # noqa: B027
        """Make ready what all measurements share. Called once, before training.

        Raises:
            ValueError: If the run cannot have this instrument, in words that follow its key.
        """

    @abstractmethod
    def measure(self, subject: Subject) -> Mapping[str, Tensor]:
        """Return scalars by name, without the instrument's, on the networks' device."""

    @contextmanager
    def observe(self, step: Step) -> Iterator[None]:
        """Surround a step of the last `iterations` before a measurement."""
        yield

    def state_dict(self) -> dict[str, Any]:
        """Return what the next measurement begins with, as data that a checkpoint can hold."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Take what `state_dict` returned, from a checkpoint that may be anybody's: what does not fit is left out."""
