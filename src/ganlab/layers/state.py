"""The state of the pass that is under way, as layers need it; the engine sets it around each pass.

Whether running state (batch-norm statistics, spectral-norm vectors) moves: by default the state of a
player's networks moves in that player's own turn, once a micro-batch. A network used by itself behaves
as torch's layers do: its state moves on every forward in training mode.

The batches of which its images are: a pass over fakes and reals at once is one over two. The role of its images, such
as ``real``: draws of layers may have it in their key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

_moves = True
_sizes: tuple[int, ...] = ()
_role = "none"


def moves() -> bool:
    """True if running state is to be updated by the pass that is under way."""
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
    """The batches that are concatenated along dimension 0 of ``x``; one, unless the engine said so."""
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
    """Return the role of the images of the pass that is under way; ``none`` unless the engine said it."""
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
