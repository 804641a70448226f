"""Runs of other codes' checkpoints are exported in each format, and make the same images there."""

from __future__ import annotations

from pathlib import Path

import pytest
from native import FIXTURES, read, write

from ganlab import exporters
from ganlab.exporters import portable, safetensors
from ganlab.exporters.portable import Fixed
from ganlab.importers import conversion
from ganlab.runs.exported import Exported
from ganlab.runs.run import Run


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(file.stem for file in FIXTURES.glob("*.npz")))
def test_every_format_of_an_imported_checkpoint_makes_the_images_of_the_run(case: str, tmp_path: Path) -> None:
    """Graphs compare batches of 7 and 1 themselves, and are refused if they differ by 1e-4."""
    about = read(case)
    write(case, tmp_path / "files", about)
    result = conversion.make_run(str(tmp_path / "files"), None, str(tmp_path / "run"), about.get("words", ()))
    run = Run(result.folder)
    made = portable.make(run, Fixed())
    safetensors.write(made, tmp_path / "g.safetensors")
    assert float((Exported(tmp_path / "g.safetensors").sample(7) - run.sample(7)).abs().max()) < 1e-4
    for name in ("torch", "onnx"):
        form = exporters.chosen(name)
        form.write(made, tmp_path / f"g{form.SUFFIX}")
