"""Pictures of points: generated ones above real ones, and histograms of numbers."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SIDE = 512  # of a picture, in pixels
REALS = 5_000  # real points of a picture
MARGIN = 0.15  # around the real points, as a share of their extent
REAL, FAKE, OUTSIDE, LINE = (165, 165, 165), (30, 96, 190), (205, 50, 45), (255, 255, 255)
_LEAST, _MOST = 1.5, 2.5  # radius of a point, in pixels
_BINS = 100  # of a histogram
_NUMBER = (60, 60, 60)  # on any colour, with a border of `LINE`
_LETTERS, _LINE = 12, 18  # height of text, and of a line of it below a picture

Bounds = tuple[tuple[float, float], tuple[float, float]]
Colour = tuple[int, int, int]


def picture(
    points: Tensor,
    reals: Tensor | None = None,
    labels: Sequence[int] | None = None,
    *,
    bounds: Bounds | None = None,
    side: int = SIDE,
    below: np.ndarray | None = None,
    colour: Colour = FAKE,
    framed: bool = True,
) -> Tensor:
    """Draw points of the plane, or the histogram of numbers: uint8 (3, side, side).

    Real points are grey and below, generated ones blue, or of a colour for each class. A generated point that lies
    outside is red, at the border.

    Args:
        points: (N, D) or (N, D, 1, 1), with D 1 or 2.
        reals: (M, D) or (M, D, 1, 1), or None.
        labels: The class of each point, or None.
        bounds: What is shown: (low, high) of each axis; None: the real points and a margin, or else the points.
        side: In pixels.
        below: Colours (side, side, 3) under points of the plane; None: white.
        colour: Of points of the plane without classes.
        framed: A picture of the plane has a frame with its bounds in numbers.
    """
    x = points.flatten(1).double().numpy()
    y = None if reals is None else reals.flatten(1).double().numpy()
    if x.shape[1] == 1:
        return _histogram(x[:, 0], None if y is None else y[:, 0], bounds, side)
    frame = bounds or around(points if reals is None else reals)
    canvas = np.full((side, side, 3), 255.0) if below is None else below.astype(float)
    if y is not None:
        _stamp(canvas, _places(y, frame, side)[0], REAL, 0.3)
    places, inside = _places(x, frame, side)
    classes = np.zeros(len(x), dtype=np.int64) if labels is None else np.asarray(labels)
    for label in np.unique(classes[inside]):
        shown = colour if labels is None else of_class(int(label), int(classes.max()) + 1)
        _stamp(canvas, places[inside & (classes == label)], shown, 0.55)
    _stamp(canvas, places[~inside], OUTSIDE, 0.9)
    if not framed:
        return torch.from_numpy(canvas.round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()
    return _framed(canvas, frame, both=True)


def lines(canvas: Tensor, paths: Tensor, bounds: Bounds, colour: Colour = LINE) -> Tensor:
    """Draw paths (steps, P, 2) into a picture (3, side, side) of the plane with these bounds, and return it."""
    image = Image.fromarray(canvas.permute(1, 2, 0).contiguous().numpy())
    draw = ImageDraw.Draw(image)
    for path in paths.double().numpy().transpose(1, 0, 2):
        (left, right), (bottom, top) = bounds
        columns = (path[:, 0] - left) / (right - left) * (image.width - 1)
        rows = (top - path[:, 1]) / (top - bottom) * (image.height - 1)
        draw.line(list(zip(columns.tolist(), rows.tolist(), strict=True)), fill=colour, width=1)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).contiguous()


def captioned(canvas: Tensor, texts: Sequence[str]) -> Tensor:
    """Return a picture (3, H, W) with lines of text below it, (3, H + 18 a line, W)."""
    image = Image.new("RGB", (canvas.shape[2], canvas.shape[1] + _LINE * len(texts)), "white")
    image.paste(Image.fromarray(canvas.permute(1, 2, 0).contiguous().numpy()), (0, 0))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=_LETTERS)
    for number, text in enumerate(texts):
        draw.text((6, canvas.shape[1] + _LINE * (number + 0.5)), text, fill=(40, 40, 40), font=font, anchor="lm")
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).contiguous()


def around(points: Tensor) -> Bounds:
    """Return the bounds of a picture of points, with a margin: a square."""
    x = points.flatten(1).double()
    low, high = x.min(0).values, x.max(0).values
    middle, half = (low + high) / 2, float((high - low).max()) / 2 * (1 + 2 * MARGIN) or 1.0
    ends = [(float(m) - half, float(m) + half) for m in middle]
    return ends[0], ends[-1]


def of_class(label: int, classes: int) -> Colour:
    """Return the colour of a class, different from its neighbours'."""
    red, green, blue = colorsys.hls_to_rgb(label / max(1, classes), 0.42 if label % 2 else 0.55, 0.75)
    return round(255 * red), round(255 * green), round(255 * blue)


def _places(x: np.ndarray, frame: Bounds, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) of points, as row and column, and which of them (N,) lie inside."""
    (left, right), (bottom, top) = frame
    column, row = (x[:, 0] - left) / (right - left), (top - x[:, 1]) / (top - bottom)
    shares = np.stack([row, column], 1)
    inside = np.all((shares >= 0) & (shares <= 1), axis=1)
    return np.round(np.clip(shares, 0, 1) * (side - 1)).astype(np.int64), inside


def _stamp(canvas: np.ndarray, places: np.ndarray, colour: Colour, opacity: float) -> None:
    """Draw discs, each over the earlier ones; many are smaller."""
    if not len(places):
        return
    radius = _MOST if len(places) < 1000 else _LEAST
    reach = int(np.ceil(radius))
    steps = np.arange(-reach, reach + 1)
    down, across = (part.ravel() for part in np.meshgrid(steps, steps, indexing="ij"))
    cover = np.clip(radius + 0.5 - np.hypot(down, across), 0, 1) * opacity
    side = len(canvas)
    clear = np.zeros((side, side))  # logarithm of what shows through
    rows, columns = places[:, :1] + down, places[:, 1:] + across  # (N, pixels of a disc)
    shown = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    np.add.at(clear, (rows[shown], columns[shown]), np.broadcast_to(np.log1p(-cover), rows.shape)[shown])
    share = np.exp(clear)[..., None]
    canvas *= share
    canvas += (1 - share) * np.array(colour)


def _histogram(x: np.ndarray, y: np.ndarray | None, bounds: Bounds | None, side: int) -> Tensor:
    (low, high), _ = bounds or around(torch.from_numpy(x if y is None else y)[:, None])
    canvas = np.full((side, side, 3), 255.0)
    edges = np.linspace(low, high, _BINS + 1)
    columns = np.minimum((np.arange(side) * _BINS) // side, _BINS - 1)
    of_reals = None if y is None else np.histogram(y, edges)[0] / max(1, len(y))
    of_points = np.histogram(x, edges)[0] / max(1, len(x))
    highest = max(of_points.max(), 0 if of_reals is None else of_reals.max(), 1e-12) * 1.1
    rows = np.arange(side)[:, None]
    if of_reals is not None:
        canvas[rows >= side - of_reals[columns] / highest * side] = REAL
    tops = side - of_points[columns] / highest * side
    before = np.concatenate([[side], tops[:-1]])
    line = (rows >= np.minimum(tops, before) - 2) & (rows <= np.maximum(tops, before))
    canvas[line & (np.minimum(tops, before) < side)] = FAKE
    return _framed(canvas, ((low, high), (0.0, highest)), both=False)


def _framed(canvas: np.ndarray, bounds: Bounds, both: bool) -> Tensor:
    """Draw a frame with its bounds in numbers."""
    image = Image.fromarray(canvas.round().clip(0, 255).astype(np.uint8))
    draw, side = ImageDraw.Draw(image), image.width
    draw.rectangle((0, 0, side - 1, side - 1), outline=(120, 120, 120))
    font = ImageFont.load_default(size=_LETTERS)
    (left, right), (bottom, top) = ((f"{low:.3g}", f"{high:.3g}") for low, high in bounds)
    texts = [(4, side - 4, f"{left}, {bottom}" if both else left, "ls"), (side - 4, side - 4, right, "rs")]
    for x, y, text, anchor in [*texts, *([(4, 4, top, "lt")] if both else [])]:
        draw.text((x, y), text, fill=_NUMBER, font=font, anchor=anchor, stroke_width=2, stroke_fill=LINE)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).contiguous()
