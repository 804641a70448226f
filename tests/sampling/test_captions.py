"""Names are beside their rows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ganlab.core.errors import shortened
from ganlab.runs import run_folder
from ganlab.sampling import captions, generation


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 32, 64, 256])
def test_each_row_has_its_name_within_its_height_and_the_grid_is_as_it_was(channels: int, size: int) -> None:
    grid = generation.grid(torch.rand(6, channels, size, size), 2)
    named = captions.beside(grid, ["cat", "", "a dog"])
    beside = named.shape[2] - grid.shape[2]
    assert torch.equal(named[:, :, beside:], grid)
    rows = named[:, :, :beside].float().chunk(3, 1)
    dark = [(row < 128).sum().item() for row in rows]
    assert dark[0] > 20
    assert dark[1] == 0
    assert dark[2] > dark[0]
    for row in (rows[0], rows[2]):  # white above and below: no letter is cut off
        assert (row[:, [0, -1]] > 250).all()
        assert (row[:, :, [0, -1]] > 250).all()


def test_without_names_nothing_is_added() -> None:
    grid = generation.grid(torch.rand(2, 1, 8, 8), 2)
    assert captions.beside(grid, [""]) is grid
    assert captions.beside(grid, []) is grid


def test_a_long_name_is_cut() -> None:
    grid = generation.grid(torch.rand(1, 1, 8, 8), 1)
    long = captions.beside(grid, ["W" * 5000])
    assert long.shape[2] < 500
    assert shortened("a" * 22, captions.WIDEST) == "a" * 22
    assert shortened("a" * 23, captions.WIDEST) == f"{'a' * 19}..."


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cat", "cat"),
        ("Bär", "Bar"),
        ("猫", "1"),
        ("a\nb", "1"),
        ("\udcff", "1"),
        ("", "1"),
        ("\x1b[31m", "1"),
        (" ", "1"),
    ],
)
def test_a_name_that_the_font_has_no_letters_for_gives_way_to_its_number(name: str, text: str) -> None:
    assert captions.of_classes([1, 0, 2], ["zero", name]) == [text, "zero", "2"]


def test_a_run_keeps_the_names_of_its_classes(tmp_path: Path) -> None:
    run_folder.write_class_names(tmp_path, ["0", "1"])
    assert not list(tmp_path.iterdir())  # numbers need no names
    run_folder.write_class_names(tmp_path, ["cat", "猫", "\udcff"])
    assert run_folder.class_names(tmp_path) == ("cat", "猫", "\udcff")


@pytest.mark.parametrize("content", ["", "[", "{}", "[1, 2]", "3", '["a", null]', "[" * 100_000, "\xff"])
def test_a_file_of_names_that_somebody_wrote_is_no_crash(tmp_path: Path, content: str) -> None:
    (tmp_path / "classes.json").write_text(content, encoding="latin-1")
    assert run_folder.class_names(tmp_path) == ()
