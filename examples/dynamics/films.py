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

from ganlab.dynamics import bounds, page, training
from ganlab.dynamics.training import Training

FRAMES, QUALITY = 16, 45
ACROSS = {1: 320, 2: 480}  # pixels of a film of so many games
BOUNDS, ITERATIONS = {"bounds": 2, "bounds_narrow": 1}, 1000  # the columns of each picture of bounds


def main(wanted: Sequence[str] = ()) -> None:
    page.FILMS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film.webp")
        for one in yaml.safe_load(page.FILMS.with_suffix(".yaml").read_text(encoding="utf-8")):
            if wanted and one["name"] not in wanted:
                continue
            words = shlex.split(one["words"])
            subprocess.run(["ganlab", "dynamics", "view=energy", *words, f"frames={FRAMES}", f"out={film}"], check=True)
            shrink(film, page.FILMS / f"{one['name']}.webp")
        if not wanted or "bounds" in wanted:
            draw_bounds(Path(folder, "bounds.png"))


def draw_bounds(picture: Path) -> None:
    """Draw what `ganlab dynamics view=bounds iterations=1000` does, also for a narrow screen."""
    games = [Training(training.configuration(None, [bounds.LOSS, *words.split()])) for words in bounds.METHODS]
    powers = {"first weights": bounds.iterated(bounds.largest(games[0]))}
    found = [bounds.watch(name, game, ITERATIONS) for name, game in zip(bounds.METHODS, games, strict=True)]
    powers[f"weights after {ITERATIONS:,} iterations"] = bounds.iterated(bounds.largest(games[0]))
    for name, columns in BOUNDS.items():
        bounds.draw(found, powers, picture, columns)
        with Image.open(picture) as image:
            image.convert("RGB").save(page.FILMS / f"{name}.webp", quality=QUALITY, method=6)


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
