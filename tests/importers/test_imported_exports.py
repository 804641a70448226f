"""Runs of other codes' checkpoints are exported in each format, and make the same images there."""

from __future__ import annotations

from pathlib import Path

import growing_files
import native
import pytest
import values
from support import exports

from ganlab import exporters
from ganlab.importers import conversion
from ganlab.runs.run import Run

GROWING = sorted(file.stem for file in values.FIXTURES.glob("*.npz"))
OTHERS = sorted(file.stem for file in native.FIXTURES.glob("*.npz"))


def imported(case: str, folder: Path) -> Run:
    """The run that is made of a case's files."""
    words: tuple[str, ...] = ()
    if case in GROWING:
        growing_files.write(case, folder / "files")
    else:
        about = native.read(case)
        native.write(case, folder / "files", about)
        words = about.get("words", ())
    return Run(conversion.make_run(str(folder / "files"), None, str(folder / "run"), words).folder)


@pytest.mark.slow
@pytest.mark.parametrize("case", [*GROWING, *OTHERS])
def test_every_format_of_an_imported_checkpoint_makes_the_images_of_the_run(case: str, tmp_path: Path) -> None:
    for name, count, largest in exports.differences(imported(case, tmp_path), tmp_path, tuple(exporters.formats())):
        assert largest < 1e-4, (name, count)


def test_weights_of_an_imported_checkpoint_make_the_images_of_the_run(tmp_path: Path) -> None:
    """The quick sibling."""
    run = imported("mimicry_sngan_32", tmp_path)
    for name, count, largest in exports.differences(run, tmp_path, ("safetensors",)):
        assert largest < 1e-4, (name, count)
