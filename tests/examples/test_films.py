"""examples/dynamics: the films of the page are made of words that compose, and are made smaller."""

from __future__ import annotations

import runpy
import shlex
from pathlib import Path

import yaml
from PIL import Image

from ganlab.commands.dynamics import Dynamics
from ganlab.dynamics import page, training

SCRIPT = Path(__file__).parents[2] / "examples/dynamics/films.py"


def test_every_film_has_a_file_and_words_that_train() -> None:
    known = yaml.safe_load(page.FILMS.with_suffix(".yaml").read_text(encoding="utf-8"))
    assert {f"{one['name']}.webp" for one in known} | {"bounds.webp", "bounds_narrow.webp"} == {
        path.name for path in page.FILMS.iterdir()
    }
    for one in known:
        words = shlex.split(one["words"])
        own = [word for word in words if not word.startswith(("beside=", "iterations="))]
        training.configuration(None, own)
        assert Dynamics.__dataclass_fields__.keys() >= {word.partition("=")[0] for word in words if word not in own}


def test_a_film_is_made_smaller(tmp_path: Path) -> None:
    made = runpy.run_path(str(SCRIPT))
    colours = [(255 * (k % 2), 15 * k, 0) for k in range(made["FRAMES"])]
    first, *others = (Image.new("RGB", (640, 356), colour) for colour in colours)
    first.save(tmp_path / "in.webp", save_all=True, append_images=others, lossless=True)
    made["shrink"](tmp_path / "in.webp", tmp_path / "out.webp")
    with Image.open(tmp_path / "out.webp") as film:
        assert film.size == (480, 267)
        assert getattr(film, "n_frames", 1) == made["FRAMES"]
