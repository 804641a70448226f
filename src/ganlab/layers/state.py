"""Whether running state (batch-norm statistics, spectral-norm vectors) moves in this pass.

The engine says so around each pass: by default the state of a player's networks moves in that
player's own turn, once a micro-batch. A network used by itself behaves as torch's layers do: its
state moves on every forward in training mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_moves = True


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
