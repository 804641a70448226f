"""State of the current forward pass that layers ask for; the engine sets it around each pass.

`moves`: running state (batch-norm statistics, spectral-norm vectors) is updated. By default the state of a player's
networks moves in that player's own turn, once a micro-batch. Outside of a run a network behaves as torch's layers do:
its state moves on every forward pass in training mode.

`batches`: a pass over fakes and reals at once is one over two batches. `role`: the role of the images, such as
``real``, which layers may have in the key of their draws. `twice`: the pass is compiled with its input gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

_moves = True
_sizes: tuple[int, ...] = ()
_role = "none"
_twice = False


class passing:  # a class, since it surrounds every pass and a generator takes twice the calls
    """Set what layers ask for during passes inside the block; None leaves it as it is.

    Args:
        moves: Running state is updated; otherwise it is used.
        sizes: Of the batches that the inputs are a concatenation of.
        role: That of the images.
        twice: The pass is compiled with its input gradient, which is differentiated again.
    """

    def __init__(
        self,
        *,
        moves: bool | None = None,
        sizes: Sequence[int] | None = None,
        role: str | None = None,
        twice: bool | None = None,
    ) -> None:
        self._set = moves, sizes, role, twice

    def __enter__(self) -> None:
        global _moves, _sizes, _role, _twice
        moves, sizes, role, twice = self._set
        self._before = _moves, _sizes, _role, _twice
        _moves = _moves if moves is None else moves
        _sizes = _sizes if sizes is None else tuple(sizes)
        _role = _role if role is None else role
        _twice = _twice if twice is None else twice

    def __exit__(self, *error: object) -> None:
        global _moves, _sizes, _role, _twice
        _moves, _sizes, _role, _twice = self._before


def moves() -> bool:
    """Tell if the current pass updates running state."""
    return _moves


def batches(x: Tensor) -> Sequence[Tensor]:
    """The batches that are concatenated along dimension 0 of ``x``; one, unless the engine sets more."""
    return x.split(_sizes) if sum(_sizes) == len(x) else (x,)


def role() -> str:
    """Return the role of the images of the current pass; ``none`` unless the engine sets it."""
    return _role


def twice() -> bool:
    """Tell if the pass is compiled with its input gradient: what cannot be differentiated twice is left out."""
    return _twice
