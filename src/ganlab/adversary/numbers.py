"""Numbers that follow schedules, which count calls of `Adversary.step`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ganlab.config.component import Component
from ganlab.core import schedules
from ganlab.core.checks import at_least_zero
from ganlab.core.errors import GanlabError, sentence, shown
from ganlab.core.schedules import Schedule, Scheduled


def completed(chosen: Any, total_steps: int | None) -> Any:
    """Return a choice of components whose schedules end at ``total_steps`` where they do not say it."""
    if schedules.is_schedule(chosen):
        ends = any(key.startswith("end_") for key in chosen)
        return chosen if ends or total_steps is None else {**chosen, "end_steps": total_steps}
    if isinstance(chosen, Mapping):
        return {name: completed(value, total_steps) for name, value in chosen.items()}
    if isinstance(chosen, (list, tuple)):
        return [completed(value, total_steps) for value in chosen]
    return chosen


def schedule(value: Mapping[str, Any] | Schedule, key: str, total_steps: int | None) -> Schedule:
    """Return a schedule in calls of `step`.

    Raises:
        GanlabError: If it is none, or counts in kimg.
    """
    if isinstance(value, Schedule):
        return value
    _refuse_kimg(value, key)
    try:
        return schedules.parse(completed(value, total_steps), 1)
    except ValueError as error:
        raise GanlabError(f"{key}: {sentence(error)}") from error


def scheduled(value: Any, key: str, total_steps: int | None) -> Callable[[int], float]:
    """Return a number as a function of calls of `step`.

    Raises:
        GanlabError: If it is neither a number of at least 0 nor a schedule.
    """
    if isinstance(value, (Schedule, Mapping)):
        return schedule(value, key, total_steps)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise GanlabError(f"{key} must be a number or a schedule, got {shown(value)}.")
    try:
        number = at_least_zero(key, value)
    except (ValueError, OverflowError) as error:
        raise GanlabError(sentence(error)) from error
    return lambda call: number


def follow(component: Component, built: Any) -> list[Scheduled]:
    """Return the numbers of a built component that follow schedules.

    Raises:
        GanlabError: If one counts in kimg, or cannot follow a schedule.
    """
    for name in component.scheduled:
        _refuse_kimg(component.arguments[name], f"{component.key}.{name}")
    return component.follow(built, 1)


def _refuse_kimg(value: Any, key: str) -> None:
    if any(unit.endswith("_kimg") for unit in schedules.units(value)):
        raise GanlabError(f"{key}: a schedule of an Adversary counts calls of step: give end_steps, not end_kimg.")
