"""Networks that grow, and the schedule by which they do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import nn


@dataclass(frozen=True)
class Stage:
    """One state of a growing game: a pure function of images seen.

    Args:
        image_size: (H, W) of the real images of the stage.
        batch_size: Global batch of one discriminator turn; None: ``data.batch_size``.
        level: Level of growth, counted from 0.
        alpha: Share of the newest level's path in [0, 1].
        learning_rates: Factor on a player's learning rate.
        phase: When this number changes, the optimizers forget their state.
        average: When this number changes, moving averages begin anew, as copies.
        gradient_scale: Factor on input gradients.
    """

    image_size: tuple[int, int]
    batch_size: int | None = None
    level: int = 0
    alpha: float = 1.0
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    phase: int = 0
    average: int = 0
    gradient_scale: float = 1.0


@runtime_checkable
class Grows(Protocol):
    """A network that can grow: it holds all levels from the start and uses those up to one of them.

    A generator and a discriminator that follow this protocol grow together, see `ganlab.growth`. New
    ones have their full size: ``level == levels`` and ``alpha`` 1. A level's images have twice the
    height and width of those of the level below.

    In addition to what is written below, a growing network has ``alpha``, a float32 buffer without dimensions:
    the share in [0, 1] of the newest level's path, 1 where it has grown in. It is a buffer so that
    compiled code is not rebuilt when it changes, and `set_stage` fills it. (It is no member of the
    protocol, because ``isinstance`` does not find buffers.)

    Attributes:
        levels: Levels above the smallest one: stages are 0 to ``levels``.
        level: The highest level in use. What belongs to higher levels is not evaluated, so it has no
            gradient and is not trained.
    """

    levels: int
    level: int

    def set_stage(self, level: int, alpha: float) -> None:
        """Use the levels up to ``level``, whose own path has the share ``alpha``."""

    def image_size_at(self, level: int) -> tuple[int, int]:
        """Return (H, W) of the images at ``level``."""


class Growth(Protocol):
    """A schedule of growth; a component of the group ``ganlab.growths``."""

    @property
    def images(self) -> int:
        """Length of the schedule."""

    def stage(self, images_seen: int) -> Stage:
        """Return the stage after so many images; a pure function."""

    @property
    def starts(self) -> Sequence[int]:
        """The least numbers of images seen of each phase: where level, fading or batch change; 0 first."""


def grow_to(networks: Iterable[nn.Module], stage: Stage) -> None:
    """Set the stage of those networks that can grow."""
    for network in networks:
        if isinstance(network, Grows):
            network.set_stage(stage.level, stage.alpha)
