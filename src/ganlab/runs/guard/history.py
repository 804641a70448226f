"""The numbers of a run that the guard remembers: the last ones of each quantity, with their iterations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

EARLY, LENGTH = 8, 200  # numbers of a quantity that are kept: the first ones and the last ones

Point = tuple[int, float]


class History:
    """The first `EARLY` and the last `LENGTH` numbers of each quantity, oldest first; it goes into checkpoints."""

    def __init__(self) -> None:
        self._points: dict[str, list[Point]] = {}

    def add(self, iteration: int, numbers: Mapping[str, float]) -> None:
        """Append the numbers of an iteration."""
        for name, value in numbers.items():
            points = self._points.setdefault(name, [])
            points.append((iteration, float(value)))
            del points[EARLY:-LENGTH]

    def __getitem__(self, name: str) -> Sequence[Point]:
        """Return the points of a quantity; none if it was never measured."""
        return self._points.get(name, ())

    def names(self, wanted: Callable[[str], bool]) -> list[str]:
        """Return the names of the quantities that are wanted, in alphabetical order."""
        return sorted(name for name in self._points if wanted(name))

    def forget(self) -> None:
        """Forget all: what comes next is no longer comparable."""
        self._points.clear()

    def state_dict(self) -> dict[str, Any]:
        return {name: [list(point) for point in points] for name, points in self._points.items()}

    def load_state_dict(self, state: Any) -> None:
        """Take what `state_dict` returned; what has another form is left out."""
        self.forget()
        for name, points in state.items() if isinstance(state, Mapping) else ():
            if isinstance(name, str) and isinstance(points, list) and all(map(_is_point, points)):
                self._points[name] = [(point[0], float(point[1])) for point in points[-EARLY - LENGTH :]]


def values(points: Sequence[Point]) -> list[float]:
    """Return the numbers of points."""
    return [value for _, value in points]


def median(numbers: Sequence[float]) -> float:
    """Return the middle one of at least one number, the upper one of two."""
    return sorted(numbers)[len(numbers) // 2]


def streak(points: Sequence[Point], holds: Callable[[float], bool]) -> Sequence[Point]:
    """Return the last points for which a condition holds without a break."""
    at = len(points)
    while at and holds(points[at - 1][1]):
        at -= 1
    return points[at:]


def _is_point(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and type(value[0]) is int and type(value[1]) is float
