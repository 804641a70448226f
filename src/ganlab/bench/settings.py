"""Options of `ganlab bench`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from ganlab.core.ranges import Range, at_least

_MOST = 100_000


@dataclass
class Settings:
    """Options of a measurement.

    Args:
        warmup: iterations that are not counted
        iterations: iterations of one repeat
        repeats: repeats; the median over all iterations of all repeats is reported
        kimg: where in the run to measure: a stage of its growth, a point of its schedules
        compare: plain: a hand-written loop with the same arithmetic, in turns in the same process; reg: each
            regularizer of the run against the same run without it
    """

    warmup: Annotated[int, Range(least=0, most=_MOST)] = 10
    iterations: Annotated[int, Range(least=1, most=_MOST)] = 10
    repeats: Annotated[int, Range(least=1, most=_MOST)] = 5
    kimg: Annotated[float, at_least(0)] = 0.0
    compare: Literal["plain", "reg"] | None = None
