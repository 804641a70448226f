"""Recorded turns: the work of a turn on the device is recorded once, and then played again without Python.

A turn that is recorded reads nothing on the host, changes no attribute of a Python object, and makes the same draws in
each iteration (`tests/engine/test_recordable.py`). What differs between iterations is in tensors: the real images and
what turns leave for each other are copied into fixed buffers, generators are seeded by their keys before each replay,
and numbers that follow schedules are tensors without dimensions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ganlab.contracts.plan import Progress, Slot
from ganlab.core import distributed
from ganlab.core.errors import sentence
from ganlab.core.randomness import NEW, Generators, key
from ganlab.engine.player_optimizers import PlayerOptimizers
from ganlab.engine.reals import Reals
from ganlab.engine.turns import Kept, Turns
from ganlab.layers import constants

WARM_UP = 2  # iterations with a turn before it is recorded: optimizers make state, libraries choose their kernels

Play = Callable[[Sequence[Slot], Reals, Kept], None]
"""Play slots, which may be a whole iteration, and keep their scalars."""


class Graphs(Protocol):
    """A recorder of work on one kind of device.

    Attributes:
        device: The device.
    """

    device: torch.device

    def generator(self) -> torch.Generator:
        """Return a new generator on the device."""

    def warming(self) -> AbstractContextManager[None]:
        """Surround a play that comes before the recording of the same turn."""

    def following(self, generator: torch.Generator) -> AbstractContextManager[None]:
        """Have torch's global generator of the device take its numbers from ``generator`` in a block, which may be part
        of a recording."""

    def record(self, call: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        """Return what plays the work of ``call`` again, which is only recorded now: all tensors that there were before
        stay as they are.

        Args:
            generators: All that the work draws from.
        """

    def forget(self) -> None:
        """Give back the memory of all recordings, none of which is played again."""


class KeptGenerators(Generators):
    """The generators of one recording, in the order in which it asks for them.

    A generator is made in the first play, and seeded anew by its key before each play: within a recording generators
    can be neither made nor seeded.
    """

    def __init__(self, graphs: Graphs) -> None:
        self.fixed = False  # no generator is made any more
        self._graphs = graphs
        self._of: list[tuple[int, tuple[int | str, ...], torch.Generator]] = []  # place of the slot, rest of the key
        self._next = 0
        self._seed, self._images_seen, self._indices = 0, 0, [0]

    @property
    def all(self) -> list[torch.Generator]:
        return [generator for _, _, generator in self._of]

    def begin(self, seed: int, images_seen: int, slots: Sequence[Slot]) -> None:
        """Seed all for one play."""
        self._next = 0
        self._seed, self._images_seen, self._indices = seed, images_seen, [slot.index for slot in slots]
        for place, rest, generator in self._of:
            generator.manual_seed(key(seed, images_seen, self._indices[place], *rest))

    def of(self, device: torch.device, *parts: int | str) -> torch.Generator:
        assert parts[:2] == (self._seed, self._images_seen)
        place, rest = self._indices.index(int(parts[2])), parts[3:]
        known = self._next < len(self._of) and self._of[self._next][:2] == (place, rest)
        if not known:
            if self.fixed:
                raise RuntimeError(f"it draws {'/'.join(map(str, rest))}, which it did not before")
            made = self._graphs.generator().manual_seed(key(*parts))
            self._of[self._next :] = [(place, rest, made)]
        self._next += 1
        return self._of[self._next - 1][2]

    @contextmanager
    def default(self, device: torch.device, *parts: int | str) -> Iterator[None]:
        with self._graphs.following(self.of(device, *parts)):
            yield


@dataclass
class Recording:
    """One way through a turn, or through an iteration of a rule by which all players step at once.

    Attributes:
        iterations: Those that played it as it is, and the next one.
        replay: Plays it; None: it is not recorded yet.
        reals: Fixed buffers of what it reads.
        given: Fixed buffers of what earlier turns left for it, by micro-batch.
        constants: Those that it reads, which are not made again as long as it is there.
        names: Of its scalars, in order.
        scalars: Their values; lies in the memory that recordings share.
    """

    generators: KeptGenerators
    iterations: set[int] = field(default_factory=set)
    replay: Callable[[], None] | None = None
    reals: Reals | None = None
    given: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    constants: list[Tensor] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    scalars: Tensor | None = None


class Recordings:
    """Plays turns: the first times as they are, then by a recording, one for each way through a turn.

    All recordings share their memory: what one leaves in it is copied before the next is played.

    Args:
        graphs: Records.
        play: Plays turns as they are.
        turns: Evaluates them.
        optimizers: Step them.
    """

    def __init__(self, graphs: Graphs, play: Play, turns: Turns, optimizers: PlayerOptimizers) -> None:
        self._graphs, self._play, self._turns, self._optimizers = graphs, play, turns, optimizers
        self._recordings: dict[Hashable, Recording] = {}
        self.generators: Generators = NEW  # those of the play that goes on
        self.failed = False

    def forget(self) -> None:
        """Drop all recordings: the tensors that they read and write are not the same ones any more."""
        self._recordings.clear()
        self._graphs.forget()

    def play(self, slots: Sequence[Slot], reals: Reals, kept: Kept, *, seed: int, progress: Progress) -> None:
        """Play the turns of ``slots``.

        Args:
            slots: One slot, or a whole iteration.
            reals: The real images of the iteration.
            kept: Keeps the scalars.
            seed: With the images seen what the keys of their draws begin with.
            progress: That before the iteration.
        """
        if self.failed or self._optimizers.observers or self._turns.setting.timer is not nullcontext:  # Python looks
            self._play(slots, reals, kept)
            return
        way = self._way(slots, reals)
        if way not in self._recordings:
            self._recordings[way] = Recording(KeptGenerators(self._graphs))
        recording = self._recordings[way]
        recording.generators.begin(seed, progress.images_seen, slots)
        if recording.replay is None:
            recording.iterations.add(progress.iteration)
        if recording.replay is None and len(recording.iterations) <= WARM_UP:
            self._make_room()
            with self._drawing(recording), self._graphs.warming():
                self._play(slots, reals, kept)
            return
        if recording.replay is None and not self._record(recording, slots, reals, kept.objectives):
            self._play(slots, reals, kept)
            return
        self._replay(recording, slots, reals, kept)

    # --- inside

    def _way(self, slots: Sequence[Slot], reals: Reals) -> Hashable:
        """Return all that a recording depends on: turns, sizes, what lies ready for them, whose weights changed."""
        images, labels = reals.taken_by(slots)
        return (
            tuple((slot.turn, slot.batch, slot.fresh) for slot in slots),
            self._turns.previous,
            reals.fades,
            tuple(map(_kind, [*images, *labels])),
            tuple((micro, name, _kind(t)) for micro, carried in reals.carried.items() for name, t in carried.items()),
        )

    @contextmanager
    def _drawing(self, recording: Recording) -> Iterator[None]:
        self.generators = recording.generators
        try:
            yield
        finally:
            self.generators = NEW

    def _make_room(self) -> None:
        """Drop what is recorded, until its next play: else a turn that is new, as a lazy one, needs more memory."""
        recorded = [recording for recording in self._recordings.values() if recording.replay is not None]
        for recording in recorded:
            recording.replay, recording.reals, recording.scalars = None, None, None
            recording.given.clear()
        if recorded:
            self._graphs.forget()

    def _record(self, recording: Recording, slots: Sequence[Slot], reals: Reals, objectives: set[str]) -> bool:
        """Record; return False, after a line, if that fails on any rank: then nothing is recorded any more."""
        recording.reals = reals.fixed_for(slots, self._graphs.device)
        recording.given = {micro: dict(carried) for micro, carried in recording.reals.carried.items()}
        recording.generators.fixed = True
        kept = Kept(objectives)

        def call() -> None:
            assert recording.reals is not None
            self._play(slots, recording.reals, kept)
            recording.names = [name for name, values in kept.values.items() for _ in values]
            values = [value for values in kept.values.values() for value in values]
            recording.scalars = torch.stack(values) if values else None

        error: Exception | None = None
        before = self._turns.previous
        try:
            with self._drawing(recording), constants.held() as recording.constants:
                recording.replay = self._graphs.record(call, recording.generators.all)
        except Exception as raised:  # a part that cannot be recorded, or a device without memory for it
            error = raised
        finally:
            self._turns.previous = before
        # NCCL wants an operation recorded by all ranks or by none
        failed = distributed.gather(torch.tensor([error is not None], device=self._graphs.device)).tolist()
        if not any(failed):
            return True
        self._fall_back()
        if error is not None and not any(failed[: distributed.rank()]):
            turn = "+".join(dict.fromkeys(player for slot in slots for player in slot.turn.players))
            print(
                f"The turn of {turn} cannot be recorded, so turns are not any more: {sentence(error)}",
                file=sys.stderr,
                flush=True,
            )
        return False

    def _fall_back(self) -> None:
        for parameter in (p for parameters in self._optimizers.parameters.values() for p in parameters):
            parameter.grad = None
        self._optimizers.pending.forget()
        self.forget()
        self.failed = True

    def _replay(self, recording: Recording, slots: Sequence[Slot], reals: Reals, kept: Kept) -> None:
        assert recording.replay is not None
        assert recording.reals is not None
        recording.reals.copy_from(reals, slots)
        for micro, given in recording.given.items():
            for name, buffer in given.items():
                buffer.copy_(reals.carried[micro][name])
        recording.replay()
        for slot in slots:
            if slot.fresh:
                reals.next()
        if recording.scalars is not None:
            kept.add_all(recording.names, recording.scalars.clone())
        for micro, carried in recording.reals.carried.items():
            reals.carried[micro] = {name: tensor.clone() for name, tensor in carried.items()}
        self._turns.stepped(slots[-1].turn)


def _kind(tensor: Tensor | None) -> Hashable:
    return None if tensor is None else (tuple(tensor.shape), tensor.dtype, tensor.stride())
