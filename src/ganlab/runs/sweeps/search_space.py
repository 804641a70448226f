"""The space that a sweeper searches: the options with several values, as Optuna's distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from ganlab.core.errors import GanlabError
from ganlab.runs.sweeps.words import plain_key

_DIGITS = 6  # of a number that is drawn from an interval


@dataclass(frozen=True)
class Axis:
    """One option that is searched.

    Args:
        key: As it is typed before ``=``.
        distribution: Of the values that Optuna suggests.
        words: All values as they are typed; None: an interval has too many.
    """

    key: str
    distribution: BaseDistribution
    words: tuple[str, ...] | None = None

    def word(self, value: Any) -> str:
        """Return a suggested value as it is typed: of an interval, with six digits."""
        if isinstance(value, str):
            return value
        if self.words is not None:
            return min(self.words, key=lambda word: abs(float(word) - value))
        if isinstance(self.distribution, FloatDistribution):
            short = float(f"{value:.{_DIGITS}g}")
            return repr(short if self.distribution.low <= short <= self.distribution.high else value)
        return str(value)

    @property
    def values(self) -> list[Any]:
        """Return all values as Optuna suggests them.

        Raises:
            GanlabError: If it is an interval of real numbers.
        """
        if isinstance(self.distribution, CategoricalDistribution):
            return list(self.distribution.choices)
        if self.words is not None:
            return [int(w) if isinstance(self.distribution, IntDistribution) else float(w) for w in self.words]
        if isinstance(self.distribution, IntDistribution):
            return list(range(self.distribution.low, self.distribution.high + 1))
        raise GanlabError(
            f"hydra.sweeper.sampler=grid tries every value, and {self.key}=interval(...) has no end of them: name the "
            f"values, as {self.key}=0.1,0.3,1."
        )


def axes(overrides: Sequence[Override]) -> list[Axis]:
    """Return what is searched: `ganlab.runs.sweeps.plan.check` has refused what cannot be."""
    return [_axis(override) for override in overrides]


def _axis(override: Override) -> Axis:
    value: Any = override.value()
    key = plain_key(override)
    if isinstance(value, IntervalSweep):
        return Axis(key, _interval(value))
    words = tuple(dict.fromkeys(override.sweep_string_iterator()))
    if not isinstance(value, RangeSweep):
        return Axis(key, CategoricalDistribution(words), words)
    numbers = sorted(map(float, words))
    step = abs(value.step)
    if all(isinstance(part, int) for part in (value.start, value.stop, value.step)):
        return Axis(key, IntDistribution(int(numbers[0]), int(numbers[-1]), step=int(step)), words)
    return Axis(key, FloatDistribution(numbers[0], numbers[-1], step=float(step)), words)


def _interval(value: IntervalSweep) -> BaseDistribution:
    low, high, log = value.start, value.end, "log" in value.tags
    assert low is not None
    assert high is not None
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)
