"""Make the films and the picture of bounds that the page of `ganlab dynamics page` has, some five minutes of one core.

python examples/dynamics/films.py                     # all
python examples/dynamics/films.py collapse slope      # some
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml
from PIL import Image

from ganlab.dynamics import page

FRAMES, QUALITY = 16, 45
ACROSS = {1: 320, 2: 480}  # pixels of a film of so many games
BOUNDS = 1100  # pixels of the picture of bounds


def main(wanted: Sequence[str] = ()) -> None:
    page.FILMS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        film, picture = Path(folder, "film.webp"), Path(folder, "bounds.png")
        for one in yaml.safe_load(page.FILMS.with_suffix(".yaml").read_text(encoding="utf-8")):
            if wanted and one["name"] not in wanted:
                continue
            words = shlex.split(one["words"])
            subprocess.run(["ganlab", "dynamics", "view=energy", *words, f"frames={FRAMES}", f"out={film}"], check=True)
            shrink(film, page.FILMS / f"{one['name']}.webp")
        if wanted and picture.stem not in wanted:
            return
        subprocess.run(["ganlab", "dynamics", "view=bounds", "iterations=1000", f"out={picture}"], check=True)
        with Image.open(picture) as image:
            image.convert("RGB").resize((BOUNDS, BOUNDS * image.height // image.width), Image.Resampling.LANCZOS).save(
                page.FILMS / "bounds.webp", quality=QUALITY, method=6
            )


def shrink(source: Path, target: Path) -> None:
    """Write a smaller copy of a film."""
    with Image.open(source) as film:
        across = ACROSS[2 if film.width > film.height * 1.5 else 1]
        size = (across, across * film.height // film.width)
        frames = []
        for number in range(FRAMES):
            film.seek(number)
            frames.append(film.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    frames[0].save(target, save_all=True, append_images=frames[1:], duration=250, loop=0, quality=QUALITY, method=6)


if __name__ == "__main__":
    main(sys.argv[1:])
