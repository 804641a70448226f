"""Options of components that a run fills in: ``reg.r1.gamma=auto``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AUTO = "auto"


@dataclass(frozen=True)
class RunOutline:
    """The outline of a run, from which options follow.

    A component's class names such options in ``automatic``, a mapping to functions: ``{"gamma": rule}``. ``rule(run)``
    returns the value, a number or a schedule, and a few words on where it comes from; it raises a ``ValueError`` where
    there is none. The option's type is ``float | Literal["auto"]``.

    Args:
        shape: (channels, height, width) of an image.
        batch_size: Images of one discriminator turn.
        regularizers: Their classes.
        end: Where a schedule over the whole run ends: ``{"end_kimg": 100}``, ``{"end_steps": 5000}``, or empty if the
            run has no end.
    """

    shape: tuple[int, int, int]
    batch_size: int
    regularizers: tuple[Any, ...]
    end: Mapping[str, float]
