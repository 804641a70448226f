"""Image sizes that a network of doublings can do: a base times a power of two."""

from __future__ import annotations

from dataclasses import dataclass

Size = int | tuple[int, int]

SMALLEST_BASE = 4
LARGEST_BASE = 15  # 16 is 8 doubled, so any size above is a smaller base with one doubling more


@dataclass(frozen=True)
class Doublings:
    """The sides of the squares that a network of doublings can make: ``48 in Doublings()``, for 6 doubled three times.

    A network declares it as its attribute ``image_sizes``; any other container of numbers will do.

    Args:
        least: Smallest number of doublings that the network can do.
    """

    least: int = 1

    def __contains__(self, side: object) -> bool:
        found = _split(side, side) if isinstance(side, int) else None
        return found is not None and found[1] >= self.least


ANY = range(1, 2**31)  # as `Doublings`, of a network that makes images of any size


def height_and_width(image_size: Size) -> tuple[int, int]:
    """``(H, W)`` of an ``image_size``; an integer is a square.

    Raises:
        ValueError: If it is neither a positive integer nor two of them.
    """
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(sides) != 2 or any(not isinstance(side, int) or side < 1 for side in sides):
        raise ValueError(f"expected image_size to be a positive integer or (height, width), got {image_size!r}")
    return sides[0], sides[1]


def doublings(image_size: Size, *, least: int = 1) -> tuple[tuple[int, int], int]:
    """The base map and how often it is doubled to give ``image_size``: 48 is (6, 6) and 3.

    Both sides are halved together as long as they stay even and at least 4. The shorter side of the
    base is then 4 to 15, the other one is free: (64, 96) is (4, 6) and 4.

    Args:
        image_size: Side of a square or (height, width), in pixels.
        least: Smallest number of doublings that the network can do.

    Raises:
        ValueError: If the size is no such multiple; the nearest sizes are named.
    """
    height, width = height_and_width(image_size)
    found = _split(height, width)
    if found is None or found[1] < least:
        if height == width:
            near = f"nearest for the side is {' or '.join(str(side) for side in _neighbours(height, least))}"
        else:
            near = f"both sides halve as often, and the shorter one counts; nearest is {_nearest(height, width, least)}"
        got = height if height == width else (height, width)
        raise ValueError(
            f"expected image_size to be {SMALLEST_BASE} to {LARGEST_BASE} pixels doubled at least "
            f"{'once' if least == 1 else f'{least} times'}, got {got}; {near}"
        )
    return found


def _split(height: int, width: int) -> tuple[tuple[int, int], int] | None:
    count = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 2 * SMALLEST_BASE:
        height, width, count = height // 2, width // 2, count + 1
    return ((height, width), count) if SMALLEST_BASE <= min(height, width) <= LARGEST_BASE else None


def _neighbours(side: int, least: int) -> list[int]:
    """The nearest possible side below and above, as far as there are any."""
    possible = Doublings(least)
    below = next((s for s in range(side, 0, -1) if s in possible), None)
    above = next(s for s in range(side, max(2 * side, SMALLEST_BASE * 2**least) + 1) if s in possible)
    return sorted({s for s in (below, above) if s is not None})


def _nearest(height: int, width: int, least: int) -> tuple[int, int]:
    """The possible (height, width) with the smallest sum of differences."""

    def bases(side: int, step: int) -> set[int]:
        return {max(SMALLEST_BASE, side // step), max(SMALLEST_BASE, -(-side // step))}

    possible = [
        (step * h, step * w)
        for step in (2**count for count in range(least, max(height, width, 2**least).bit_length() + 1))
        for h in bases(height, step)
        for w in bases(width, step)
        if min(h, w) <= LARGEST_BASE
    ]
    return min(possible, key=lambda size: (abs(size[0] - height) + abs(size[1] - width), size))
