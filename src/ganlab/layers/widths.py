"""Channels of the maps of a network of doublings."""

from __future__ import annotations

from ganlab.layers.inputs import check_positive


def channels_of(levels: int, width: int | tuple[int, ...], max_width: int) -> list[int]:
    """Return the channels of each level's map, from the base on.

    Args:
        levels: How often the base map is doubled.
        width: Level l has the smaller of ``width``/2^(l + 1), rounded down, and ``max_width``; or the channels
            themselves, ``levels`` + 1 numbers.
        max_width: Most channels of a map; not used for a list.

    Raises:
        ValueError: If a level would have no channel, or the list has another length.
    """
    if not isinstance(width, int):
        if len(width) != levels + 1:
            raise ValueError(
                f"expected width to be one number or {levels + 1} for {levels} doublings of the base map, "
                f"got {list(width)}"
            )
        for channels in width:
            check_positive(width=channels)
        return list(width)
    check_positive(width=width, max_width=max_width)
    found = [min(width >> (level + 1), max_width) for level in range(levels + 1)]
    if found[-1] < 1:
        raise ValueError(
            f"expected width to be at least {2 ** (levels + 1)}, so that level {levels} has a channel, got {width}"
        )
    return found
