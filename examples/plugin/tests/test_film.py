from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ganlab_example_plugin.film import Film
from PIL import Image

import ganlab


def film_of(folder: Path, sizes: list[int], first_rank: bool = True, **options: Any) -> Path:
    (folder / "samples").mkdir()
    for number, size in enumerate(sizes):
        Image.new("L", (size, size // 2), 20 * number).save(folder / f"samples/iteration_{number:09d}.png")
    trainer: Any = SimpleNamespace(is_global_zero=first_rank)
    module: Any = None
    Film(ganlab.RunContext(folder), **options).on_train_end(trainer, module)
    return folder / "film.gif"


def test_the_film_has_a_frame_for_each_grid_of_the_size_of_the_last(tmp_path: Path) -> None:
    with Image.open(film_of(tmp_path, [20, 40, 80], seconds=0.5, width=40)) as film:
        assert (film.n_frames, film.size, film.info["duration"]) == (3, (40, 20), 500)  # type: ignore[attr-defined]


def test_without_grids_and_on_other_ranks_there_is_no_film(tmp_path: Path) -> None:
    assert not film_of(tmp_path, []).exists()
    (tmp_path / "other").mkdir()
    assert not film_of(tmp_path / "other", [20], first_rank=False).exists()


def test_no_seconds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seconds must be positive"):
        Film(ganlab.RunContext(tmp_path), seconds=0)
