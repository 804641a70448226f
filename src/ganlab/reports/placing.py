"""Where the labels of a chart stand: beside what they name, and on no line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Point = tuple[float, float]
Segment = tuple[Point, Point]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels, y downwards."""
Label = tuple[float, float, str]
"""x, y of the baseline, and the text's anchor: start, middle or end."""

_ABOVE, _BELOW, _CHARACTER = 9.0, 2.0, 6.5  # of a text of 11 pixels around its baseline, and a character's width
_CLEAR = 1.5  # between a text and a line
MARKER = 5.0  # a point's radius with its rim


def free(
    text: str,
    places: Iterable[Label],
    segments: Sequence[Segment],
    markers: Sequence[Box],
    texts: Sequence[Box],
    frame: Box,
) -> Label | None:
    """The first of ``places`` at which ``text`` touches nothing, inside of the frame; or the one at which it touches
    fewest; None if it would stand on another text even there."""

    def touched(place: Label) -> int:
        left, top, right, bottom = box = covered(text, place)
        outside = left < frame[0] or top < frame[1] or right > frame[2] or bottom > frame[3]
        lines = sum(_crosses(box, segment) for segment in segments)
        return lines + sum(_overlap(box, other) for other in [*markers, *texts]) + 100 * outside

    best = min(places, key=touched)
    return None if any(_overlap(covered(text, best), other) for other in texts) else best


def covered(text: str, place: Label) -> Box:
    """The box of a text, with a clear rim."""
    x, y, anchor = place
    width = _CHARACTER * len(text)
    left = x - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
    return left - _CLEAR, y - _ABOVE - _CLEAR, left + width + _CLEAR, y + _BELOW + _CLEAR


def around(point: Point) -> list[Label]:
    """Places beside a point with a marker, the corners first, then farther ones."""
    u, v = point
    places: list[Label] = []
    for far in (0, 7):
        x, up, down = 7 + far, v - 6 - far, v + 15 + far
        places += [(u + x, up, "start"), (u - x, up, "end"), (u + x, down, "start"), (u - x, down, "end")]
        places += [
            (u, up - 4, "middle"),
            (u, down + 3, "middle"),
            (u + x + 2, v + 4, "start"),
            (u - x - 2, v + 4, "end"),
        ]
    return places


def marker(point: Point) -> Box:
    return point[0] - MARKER, point[1] - MARKER, point[0] + MARKER, point[1] + MARKER


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _crosses(box: Box, segment: Segment) -> bool:
    """Whether a segment has a point inside of a box: what is left of it between each two sides in turn (Liang & Barsky
    1984)."""
    (x, y), (other_x, other_y) = segment
    first, last = 0.0, 1.0
    for start, change, low, high in ((x, other_x - x, box[0], box[2]), (y, other_y - y, box[1], box[3])):
        if change == 0:
            if not low < start < high:
                return False
            continue
        enters, leaves = sorted(((low - start) / change, (high - start) / change))
        first, last = max(first, enters), min(last, leaves)
    return first < last
