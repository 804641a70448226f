"""Sample grids of runs inside a page: thinned over training, and encoded so that a page stays small."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganlab.core import run_files
from ganlab.reports import pages
from ganlab.reports.pages import Picture

BYTES = 11 * 2**20  # of all pictures of a page before base64, which makes them a third larger: 15 MiB
_PICTURES = 240  # of a page, where its runs have more grids
_FEWEST, _MOST = 6, 100  # grids of a run
_QUALITY = 80  # of WebP
_BYTES_A_PIXEL = 0.2  # of WebP of that quality, about
_PIXELS = 2**24  # of a picture that is encoded again
_NAME = re.compile(r"iteration_(\d{1,12})\.png")


@dataclass(frozen=True)
class Frame:
    """A grid at one point of training.

    Args:
        iteration: Its iteration.
        kimg: Its place on the axis of training.
        picture: The grid.
        width: In pixels, as it was written; the picture inside the page may have fewer.
    """

    iteration: int
    kimg: float
    picture: Picture
    width: int


def found(folder: Path) -> list[tuple[int, Path]]:
    """Return the grids of a run folder: iteration and file, in order."""
    return sorted(
        (int(match[1]), path)
        for path in (folder / run_files.SAMPLES).glob("iteration_*.png")
        if (match := _NAME.fullmatch(path.name)) and not path.parent.is_symlink()
    )


def frames(runs: Mapping[Any, Sequence[tuple[int, float, Path]]], most_bytes: int = BYTES) -> dict[Any, list[Frame]]:
    """Return the grids that a page shows of each run.

    Of a run with many the first, the last and others evenly spread over training are taken. All pictures together have
    at most ``most_bytes``, each an equal share: one whose PNG is larger becomes WebP, with fewer pixels if need be.

    Args:
        runs: (iteration, kimg, file) by any name of a run, in order.
        most_bytes: Of all pictures.
    """
    each = max(_FEWEST, min(_MOST, _PICTURES // max(1, len(runs))))
    chosen = [(name, grid) for name, grids in runs.items() for grid in _spread(grids, each)]
    share = most_bytes // max(1, len(chosen))
    with ThreadPoolExecutor() as pool:  # Pillow lets other threads run
        made = list(pool.map(lambda one: _frame(one[1], share), chosen))
    shown: dict[Any, list[Frame]] = {name: [] for name in runs}
    for (name, _), frame in zip(chosen, made, strict=True):
        if frame is not None:
            shown[name].append(frame)
    return shown


def _spread(grids: Sequence[tuple[int, float, Path]], most: int) -> list[tuple[int, float, Path]]:
    """Return at most so many grids, the first and the last one among them, evenly spread over kimg."""
    if len(grids) <= most:
        return list(grids)
    first, last = grids[0][1], grids[-1][1]
    wanted = (first + (last - first) * place / (most - 1) for place in range(most))
    places = {min(range(len(grids)), key=lambda at: abs(grids[at][1] - kimg)) for kimg in wanted}
    return [grids[place] for place in sorted(places)]


def _frame(grid: tuple[int, float, Path], share: int) -> Frame | None:
    """Return a grid for a page; None if the file is no PNG, a link, or huge."""
    iteration, kimg, path = grid
    content = pages.png(path)
    if content is None:
        return None
    width = int.from_bytes(content[16:20], "big")
    if len(content) <= share:
        return Frame(iteration, kimg, pages.embedded(content, path.stem), width)
    smaller = _webp(content, share)
    return None if smaller is None else Frame(iteration, kimg, pages.embedded(smaller, path.stem, kind="webp"), width)


def _webp(content: bytes, share: int) -> bytes | None:
    """Return a PNG as WebP of at most ``share`` bytes; None if Pillow cannot read it, or it cannot be so small."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as file:
            if math.prod(file.size) > _PIXELS:
                return None
            whole = file.convert("RGB")
        scale = min(1.0, math.sqrt(share / (_BYTES_A_PIXEL * math.prod(whole.size))))
        for _ in range(4):
            size = [max(1, int(side * scale)) for side in whole.size]
            image = whole if scale == 1 else whole.resize((size[0], size[1]), Image.Resampling.BOX, reducing_gap=2)
            found = io.BytesIO()
            image.save(found, "WEBP", quality=_QUALITY, method=0)
            if found.tell() <= share:
                return found.getvalue()
            scale *= 0.95 * math.sqrt(share / found.tell())
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        pass
    return None
