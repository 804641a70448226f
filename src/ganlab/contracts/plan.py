"""The plan of one iteration: its turns in order, and the number of real images of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ganlab.contracts.game import Game
from ganlab.contracts.turn import Turn


@dataclass
class Progress:
    """The progress of a run between two iterations.

    Args:
        iteration: Iterations done.
        images_seen: Real images shown in turns that count; kimg is this in thousands.
        images_consumed: Real images taken from the data, in whatever turn.
    """

    iteration: int = 0
    images_seen: int = 0
    images_consumed: int = 0

    @property
    def kimg(self) -> float:
        return self.images_seen / 1000


@dataclass(frozen=True)
class Slot:
    """One evaluation of a turn.

    Args:
        turn: The turn.
        index: Its place in the iteration, repetitions counted: part of the key of its randomness.
            Turns that an iteration skips keep their places.
        batch: Global size of its batch, over all ranks and accumulations.
        fresh: It takes new real images.
    """

    turn: Turn
    index: int
    batch: int
    fresh: bool


@dataclass(frozen=True)
class Plan:
    """One iteration."""

    slots: tuple[Slot, ...]
    image_size: tuple[int, int] | None = None

    @property
    def counted(self) -> int:
        """Images by which ``images_seen`` grows."""
        return sum(slot.batch for slot in self.slots if slot.turn.counts)

    @property
    def consumed(self) -> int:
        """Images taken from the data."""
        return sum(slot.batch for slot in self.slots if slot.fresh)

    @property
    def taken(self) -> int:
        """Batches that it takes from the data."""
        return sum(slot.fresh for slot in self.slots)

    def of_sizes(self, sizes: Sequence[int]) -> Plan:
        """Return the same turns on batches of other sizes.

        Args:
            sizes: Global size of each batch that is taken from the data, in order; a turn without one has its share
                of the batch before it.
        """
        at, slots = 0, []
        for slot in self.slots:
            at += slot.fresh
            size = sizes[max(at - 1, 0)]
            slots.append(replace(slot, batch=size if slot.fresh else max(1, round(size * slot.turn.batch))))
        return replace(self, slots=tuple(slots))

    def advance(self, progress: Progress) -> Progress:
        return Progress(
            progress.iteration + 1, progress.images_seen + self.counted, progress.images_consumed + self.consumed
        )


def plan(game: Game, progress: Progress, batch_size: int) -> Plan:
    """Return the plan of the iteration after ``progress``: a pure function, so loader and engine agree."""
    stage = game.stage(progress.images_seen)
    if stage is not None and stage.batch_size is not None:
        batch_size = stage.batch_size
    slots, index = [], 0
    for turn in game.all_turns():
        if progress.iteration % turn.every == 0:
            size = round(batch_size * turn.batch)
            slots += [Slot(turn, index + i, size, turn.reals == "fresh") for i in range(turn.repeat)]
        index += turn.repeat
    return Plan(tuple(slots), stage.image_size if stage is not None else None)
