"""examples/python_api.py trains, loads, samples and evaluates, and leaves a run that the commands take."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from ganlab import cli

SCRIPT = Path(__file__).parents[2] / "examples/python_api.py"


def test_the_example_of_the_python_api_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    main = runpy.run_path(str(SCRIPT))["main"]
    main(2, folder)
    printed = capsys.readouterr().out
    assert f"2 iterations of sngan are in {folder}" in printed
    assert (folder / "grid.png").is_file()
    (line,) = (folder / "evaluation.jsonl").read_text().splitlines()
    assert f"fid {json.loads(line)['values']['fid']['value']:.4g}" in printed
    assert cli.dispatch(["resume", str(folder), "trainer.max_steps=3"]) == 0
    with pytest.raises(SystemExit, match="holds a run already"):
        main(2, folder)


def test_the_example_is_read_at_a_glance() -> None:
    assert len(SCRIPT.read_text().splitlines()) < 60
