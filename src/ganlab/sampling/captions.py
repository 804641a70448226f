"""Names beside the rows of a grid."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ganlab.core.errors import shortened

SIZES = (12, 26)  # of the letters, in pixels: a third of a row, within these
WIDEST = 22  # letters of a name
_MARGIN = 6


def beside(grid: Tensor, names: Sequence[str]) -> Tensor:
    """A grid (C, H, W), uint8, with a name at the left of each of its rows, which are of equal height.

    Args:
        grid: As `samples.grid` makes it.
        names: One a row, from the top; an empty one leaves its place white. No names: the grid as it is.
    """
    if not any(names):
        return grid
    channels, height, _ = grid.shape
    row = height / len(names)
    least, most = SIZES
    font = ImageFont.load_default(size=min(max(least, row // 3), most))
    texts = [shortened(name, WIDEST) for name in names]
    width = max(round(font.getlength(text)) for text in texts) + 2 * _MARGIN
    width += width % 2  # videos have even sides
    column = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(column)
    for number, text in enumerate(texts):
        draw.text((width - _MARGIN, (number + 0.5) * row), text, fill=0, font=font, anchor="rm")
    letters = torch.from_numpy(np.asarray(column).copy()).expand(channels, -1, -1)
    return torch.cat([letters, grid], 2)


def of_classes(labels: Sequence[int], names: Sequence[str]) -> list[str]:
    """Return a caption for each class: its name where Pillow's own font (Latin) has the letters, else its number.

    Accents are left out.
    """
    texts = []
    for label in labels:
        name = unicodedata.normalize("NFKD", names[label]) if label < len(names) else ""
        plain = "".join(letter for letter in name if not unicodedata.combining(letter)).strip()
        texts.append(plain if plain and plain.isascii() and plain.isprintable() else str(label))
    return texts
