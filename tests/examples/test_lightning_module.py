"""examples/lightning_module trains networks and a data set of its own, and is read at a glance."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "examples/lightning_module/train.py"


@pytest.mark.filterwarnings("ignore:Consider setting.*persistent_workers")
def test_the_example_of_a_lightning_module_runs(tmp_path: Path) -> None:
    runpy.run_path(str(SCRIPT))["main"](10, tmp_path)
    with Image.open(tmp_path / "samples.png") as picture:
        assert picture.size == (512, 256)
    assert (tmp_path / "checkpoints").is_dir()
    assert "generator/adversarial" in next((tmp_path / "lightning_logs").rglob("metrics.csv")).read_text()


def test_the_example_is_below_150_lines() -> None:
    assert len(SCRIPT.read_text().splitlines()) < 150
