"""Randomness as a function of a key, never of what was drawn before.

The key of a draw is (seed, images seen, turn, micro-batch, purpose, n-th draw of that purpose in
the micro-batch). Adding a component therefore never shifts another's draws, a resumed run draws
what an uninterrupted one would have drawn, and there is no generator state to save.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from ganlab.core import distributed
from ganlab.core.uncompiled import uncompiled

Distribution = Literal["normal", "uniform"]


def key(*parts: int | str) -> int:
    """A 63-bit integer that depends on every part, the same on every machine and Python."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(device: torch.device | str, *parts: int | str) -> torch.Generator:
    """A fresh generator on ``device``, seeded by the key of ``parts``."""
    return torch.Generator(device).manual_seed(key(*parts))


def sample(generator: torch.Generator, shape: Sequence[int], distribution: Distribution = "normal") -> Tensor:
    """``shape`` float32 numbers of N(0, 1) or U[0, 1), on the generator's device."""
    draw = torch.randn if distribution == "normal" else torch.rand
    return draw(tuple(shape), generator=generator, device=generator.device)


class Generators:
    """The generators of streams: for each key a new one."""

    def of(self, device: torch.device, *parts: int | str) -> torch.Generator:
        """Return the generator of a key."""
        return generator(device, *parts)

    @contextmanager
    def default(self, device: torch.device, *parts: int | str) -> Iterator[None]:
        """Have torch's global generators follow a key inside the block; they are left as they were found."""
        # not torch.manual_seed and fork_rng: where CUDA is not in use those queue a call with a formatted
        # stack for every backend, which takes a millisecond and is kept for ever
        generators = [torch.default_generator]
        if device.type == "cuda":
            generators.append(torch.cuda.default_generators[device.index or 0])
        states = [generator.get_state() for generator in generators]
        for each in generators:
            each.manual_seed(key(*parts))
        try:
            yield
        finally:
            for each, state in zip(generators, states, strict=True):
                each.set_state(state)


NEW = Generators()


class Stream:
    """All draws of one micro-batch of one turn.

    Args:
        parts: What the key starts with: seed, images seen, turn, micro-batch.
        device: Where numbers are made.
        generators: Gives the generator of each key.
    """

    def __init__(self, *parts: int | str, device: torch.device | str = "cpu", generators: Generators = NEW) -> None:
        self.parts = parts
        self.device = torch.device(device)
        self.generators = generators
        self._counts: dict[str, int] = {}

    def within(self, purpose: str) -> Stream:
        """Return a stream of the same micro-batch with keys of its own, which begins anew each time."""
        return Stream(*self.parts, purpose, device=self.device, generators=self.generators)

    def draw(self, purpose: str, shape: Sequence[int], distribution: Distribution = "normal") -> Tensor:
        """Float32 numbers of shape ``shape``: this rank's slice of a draw for the global batch.

        The first dimension is the batch on this rank. N ranks together draw what one process with
        the whole batch draws.
        """
        local, *rest = shape
        world = distributed.world_size()
        return distributed.own(sample(self._generator(purpose), (local * world, *rest), distribution))

    def draw_on_rank(self, purpose: str, shape: Sequence[int], distribution: Distribution = "normal") -> Tensor:
        """Like `draw`, but keyed on the rank instead of sliced: for large draws such as noise a pixel."""
        return sample(self._generator(purpose, distributed.rank()), shape, distribution)

    def draw_shared(self, purpose: str, shape: Sequence[int], distribution: Distribution = "normal") -> Tensor:
        """Numbers that all ranks have in common: for a decision about the whole micro-batch."""
        return sample(self._generator(purpose), shape, distribution)

    def _generator(self, purpose: str, *more: int) -> torch.Generator:
        count = self._counts.get(purpose, 0)
        self._counts[purpose] = count + 1
        return self.generators.of(self.device, *self.parts, purpose, count, *more)


_current: list[Stream] = []


@contextmanager
def using(stream: Stream) -> Iterator[Stream]:
    """Let layers draw from ``stream`` (see `noise`); dropout and the like follow its key, and the rank.

    torch's global generators are left as they were found.
    """
    with stream.generators.default(stream.device, *stream.parts, "torch", distributed.rank()):
        _current.append(stream)
        try:
            yield stream
        finally:
            _current.pop()


def current() -> Stream | None:
    """The stream that layers draw from; None outside of turns."""
    return _current[-1] if _current else None


# not compiled: else the key becomes part of compiled code, which is built again for each
@uncompiled
def noise(
    purpose: str, like: Tensor, shape: Sequence[int], distribution: Distribution = "normal", *, per_rank: bool = False
) -> Tensor:
    """N(0, 1) or U[0, 1) for a layer, on the device and of the dtype of ``like``.

    Inside a turn the numbers follow the turn's key; outside (a network used by itself) they come
    from torch's global generator.

    Args:
        per_rank: True for large draws (noise a pixel), see `Stream.draw_on_rank`.
    """
    if not _current:
        return _outside(like, shape, distribution)
    stream = _current[-1]
    draw = stream.draw_on_rank if per_rank else stream.draw
    return draw(purpose, shape, distribution).to(device=like.device, dtype=like.dtype)


@uncompiled
def shared_noise(purpose: str, like: Tensor, shape: Sequence[int], distribution: Distribution = "normal") -> Tensor:
    """Like `noise`, but the same numbers on every rank: for a decision about the whole micro-batch."""
    if not _current:
        return _outside(like, shape, distribution)
    return _current[-1].draw_shared(purpose, shape, distribution).to(device=like.device, dtype=like.dtype)


def _outside(like: Tensor, shape: Sequence[int], distribution: Distribution) -> Tensor:
    draw = torch.randn if distribution == "normal" else torch.rand
    return draw(tuple(shape), device=like.device, dtype=like.dtype)
