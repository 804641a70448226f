"""State of the current forward pass that layers ask for; the engine sets it around each pass.

`moves`: running state (batch-norm statistics, spectral-norm vectors) is updated. By default the state of a player's
networks moves in that player's own turn, once a micro-batch. Outside of a run a network behaves as torch's layers do:
its state moves on every forward pass in training mode.

`batches`: a pass over fakes and reals at once is one over two batches. `role`: the role of the images, such as
``real``, which layers may have in the key of their draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

_moves = True
_sizes: tuple[int, ...] = ()
_role = "none"


def moves() -> bool:
    """Tell if the current pass updates running state."""
    return _moves


@contextmanager
def moving(flag: bool) -> Iterator[None]:
    """Passes inside the block update running state if ``flag``, and use it otherwise."""
    global _moves
    before, _moves = _moves, flag
    try:
        yield
    finally:
        _moves = before


def batches(x: Tensor) -> Sequence[Tensor]:
    """The batches that are concatenated along dimension 0 of ``x``; one, unless the engine sets more."""
    return x.split(_sizes) if sum(_sizes) == len(x) else (x,)


@contextmanager
def concatenated(sizes: Sequence[int]) -> Iterator[None]:
    """Passes inside the block are over several batches of these sizes."""
    global _sizes
    before, _sizes = _sizes, tuple(sizes)
    try:
        yield
    finally:
        _sizes = before


def role() -> str:
    """Return the role of the images of the current pass; ``none`` unless the engine sets it."""
    return _role


@contextmanager
def about(role: str) -> Iterator[None]:
    """Passes inside the block are over images of this role."""
    global _role
    before, _role = _role, role
    try:
        yield
    finally:
        _role = before
