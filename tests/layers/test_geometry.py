"""Image sizes as bases and doublings."""

from __future__ import annotations

import re

import pytest

from ganlab.layers.geometry import doublings


@pytest.mark.parametrize(
    ("size", "base", "count"),
    [(8, (4, 4), 1), (32, (4, 4), 3), (48, (6, 6), 3), (512, (4, 4), 7), ((64, 96), (4, 6), 4), (36, (9, 9), 2)],
)
def test_a_size_is_a_base_doubled_so_often(size: int | tuple[int, int], base: tuple[int, int], count: int) -> None:
    assert doublings(size) == (base, count)


@pytest.mark.parametrize(
    ("size", "near"), [(4, "8"), (33, "32 or 36"), (50, "48 or 52"), (9, "8 or 10"), (31, "30 or 32"), (1, "8")]
)
def test_other_sizes_are_refused_and_the_nearest_named(size: int, near: str) -> None:
    with pytest.raises(ValueError, match=f"got {size}; nearest for the side is {near}$"):
        doublings(size)  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "least"), [((50, 64), 3), ((64, 65), 3), ((3, 40), 2), ((33, 100), 1), ((20, 12), 3)])
def test_the_nearest_of_two_sides_is_named(size: tuple[int, int], least: int) -> None:
    """By trying all pairs of sides up to 128."""

    def possible(height: int, width: int) -> bool:
        steps = [2**count for count in range(least, 8)]
        return any(height % s == 0 and width % s == 0 and 4 <= min(height, width) // s <= 15 for s in steps)

    def distance(height: int, width: int) -> int:
        return abs(height - size[0]) + abs(width - size[1])

    pairs = [(h, w) for h in range(1, 129) for w in range(1, 129) if possible(h, w)]
    with pytest.raises(
        ValueError, match=r"both sides halve as often, and the shorter one counts; nearest is"
    ) as caught:
        doublings(size, least=least)
    named = tuple(int(side) for side in re.findall(r"nearest is \((\d+), (\d+)\)", str(caught.value))[0])
    assert named in pairs
    assert distance(*named) == min(distance(*pair) for pair in pairs)


def test_a_network_that_doubles_more_often_needs_larger_images() -> None:
    with pytest.raises(ValueError, match="at least 3 times, got 16; nearest for the side is 32"):
        doublings(16, least=3)
    assert doublings(40, least=3) == ((5, 5), 3)


@pytest.mark.parametrize("size", [0, -8, (8,), (8, 8, 8), 8.0])
def test_what_is_no_size_is_refused(size: float | tuple[int, ...]) -> None:
    with pytest.raises((ValueError, TypeError)):
        doublings(size)  # type: ignore[arg-type]
