"""The regularizers' hooks, as the engine and the views call them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ganlab.contracts.address import Addressed
from ganlab.contracts.turn import Turn


@dataclass(frozen=True)
class Hooks:
    """The methods with which the regularizers of a run take part, by the name of the hook, in order.

    Made by `ganlab.contracts.regularizer.hooks_of`; each hook is documented, and its view typed, at `Regularizer`.
    """

    before_recording: Sequence[Callable[[], None]] = ()
    before_iteration: Sequence[Callable[[Any], None]] = ()
    during: Sequence[Callable[[Turn, Turn | None], AbstractContextManager[None]]] = ()
    images: Sequence[Callable[[Tensor, str, Any], Tensor]] = ()
    features: Sequence[Callable[[Tensor, str, Any], Tensor]] = ()
    scores: Sequence[Callable[[Tensor | None, Tensor, Any], tuple[Tensor | None, Tensor]]] = ()
    terms: Sequence[Addressed] = ()
    gradients: Sequence[Addressed] = ()
    after_step: Sequence[Addressed] = ()
    input_gradients: frozenset[str] = frozenset()
    by_features: bool = False
    player_gradients: frozenset[str] = frozenset()
