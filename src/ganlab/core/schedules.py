"""Schedules: numbers as pure functions of images seen.

Wherever a component takes a float, the configuration may hold a schedule instead, also in a list of floats:

    optimizer.generator.lr={from:2e-4,to:0,end_steps:100000}
    optimizer.generator.betas=[0.0,{from:0.9,to:0.99,end_kimg:20000,shape:cosine}]
    reg.r1.gamma={from:0.05,to:0.005,end_kimg:20000,shape:cosine}

The value is ``from`` until ``start``, ``to`` after ``end``, and in between moves along the shape:
``linear``; ``cosine``, half a period, (1 + cos(pi t)) / 2; or ``exponential``, linear in the logarithm.
Units are kimg (thousands of real images shown in the discriminator's turns) or steps (iterations).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganlab.core.errors import one_of

_KEYS = ("from", "to", "start_kimg", "end_kimg", "start_steps", "end_steps", "shape")


@dataclass(frozen=True)
class Schedule:
    """A number as a function of images seen.

    Args:
        start_value, end_value: Values before ``start`` and after ``end``.
        start, end: In images.
        shape: ``linear``, ``cosine`` or ``exponential``.
    """

    start_value: float
    end_value: float
    start: float
    end: float
    shape: str = "linear"

    def __call__(self, images_seen: float) -> float:
        if self.end <= self.start:
            return self.end_value if images_seen >= self.end else self.start_value
        t = min(max((images_seen - self.start) / (self.end - self.start), 0.0), 1.0)
        if self.shape == "cosine":
            t = (1 - math.cos(math.pi * t)) / 2
        if self.shape == "exponential":
            return math.exp((1 - t) * math.log(self.start_value) + t * math.log(self.end_value))
        return (1 - t) * self.start_value + t * self.end_value


@dataclass(frozen=True)
class Schedules:
    """Several numbers, each a function of images seen; a number alone does not change."""

    parts: tuple[Schedule | float, ...]

    @property
    def start_value(self) -> tuple[float, ...]:
        return tuple(part.start_value if isinstance(part, Schedule) else part for part in self.parts)

    @property
    def end_value(self) -> tuple[float, ...]:
        return tuple(part.end_value if isinstance(part, Schedule) else part for part in self.parts)

    def __call__(self, images_seen: float) -> tuple[float, ...]:
        return tuple(part(images_seen) if isinstance(part, Schedule) else part for part in self.parts)


@dataclass
class Scheduled:
    """A number of a component that follows a schedule.

    Args:
        schedule: The schedule.
        part: The component.
        name: Its attribute.
        key: Key of the option, for messages.
        between: The component reads it between iterations only, and not in turns.
    """

    schedule: Schedule
    part: Any
    name: str
    key: str
    between: bool = False
    _tensor: Any = None

    def follow(self, images_seen: float) -> None:
        """Give the component the value after so many images."""
        value = self.schedule(images_seen)
        if self._tensor is None:
            object.__setattr__(self.part, self.name, value)  # components may be frozen
        else:
            self._tensor.fill_(value)

    def hold(self, tensor: Any) -> None:
        """Have the component keep the number as a tensor without dimensions, which `follow` fills."""
        self._tensor = tensor
        object.__setattr__(self.part, self.name, tensor)


def present(number: Any) -> bool:
    """Tell if a number of a component is other than 0; one that is a tensor counts as such and is not read."""
    return not isinstance(number, (int, float)) or number != 0


def is_schedule(value: Any) -> bool:
    """Tell if a value of a configuration is meant as a schedule, or is a list with one in it."""
    if isinstance(value, (list, tuple)):
        return any(isinstance(part, Mapping) and is_schedule(part) for part in value)
    return isinstance(value, Mapping) and ("from" in value or "to" in value)


def units(value: Any) -> list[str]:
    """The keys of a schedule, or of those in a list."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    return [str(key) for part in parts if isinstance(part, Mapping) for key in part]


def first_values(value: Any) -> Any:
    """A value of a configuration with the first number of each schedule in its place."""
    if isinstance(value, (list, tuple)):
        return [first_values(part) for part in value]
    return value.get("from") if is_schedule(value) else value


def among(values: Mapping[str, Any]) -> list[str]:
    """The names of those of ``values`` that are meant as schedules."""
    return [name for name, value in values.items() if is_schedule(value)]


def parse_all(value: Any, images_per_step: float) -> Schedule | Schedules:
    """Read a schedule, or a list of numbers and schedules; raises as `parse`."""
    if not isinstance(value, (list, tuple)):
        return parse(value, images_per_step)
    parts = [parse(part, images_per_step) if is_schedule(part) else float(part) for part in value]
    return Schedules(tuple(parts))


def parse(value: Mapping[str, Any], images_per_step: float) -> Schedule:
    """Read a schedule.

    Raises:
        ValueError: If keys are missing, unknown or contradict each other.
    """
    unknown = [key for key in value if key not in _KEYS]
    if unknown:
        raise ValueError(f"a schedule has no {unknown[0]!r}; its keys are {', '.join(_KEYS)}")
    for key, number in value.items():
        if key == "shape":
            continue
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
            raise ValueError(f"a schedule's {key!r} must be a finite number, got {number!r}")
    if "from" not in value or "to" not in value:
        raise ValueError("a schedule needs both 'from' and 'to'")
    if ("end_kimg" in value) == ("end_steps" in value):
        raise ValueError("a schedule needs either 'end_kimg' or 'end_steps'")
    if "start_kimg" in value and "start_steps" in value:
        raise ValueError("a schedule takes 'start_kimg' or 'start_steps', not both")

    def images(edge: str) -> float:
        if f"{edge}_kimg" in value:
            return 1000.0 * float(value[f"{edge}_kimg"])
        return images_per_step * float(value.get(f"{edge}_steps", 0))

    shape = str(value.get("shape", "linear"))
    one_of(shape, ("linear", "cosine", "exponential"), "a schedule's shape")
    first, last = float(value["from"]), float(value["to"])
    if shape == "exponential" and (first <= 0 or last <= 0):
        raise ValueError("an exponential schedule needs positive 'from' and 'to'")
    if images("end") < images("start"):
        raise ValueError("a schedule must end after it starts")
    return Schedule(first, last, images("start"), images("end"), shape)
