"""examples/ablation/table.py prints a sweep in the form of BigGAN's table 1."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from ganlab.comparisons.answer import LAST, Answer, Estimate, MetricInfo, Row
from ganlab.comparisons.collected import COLLAPSED, RunFacts
from ganlab.runs.sweeps.record import DONE

SCRIPT = Path(__file__).parents[2] / "examples/ablation/table.py"


@pytest.fixture
def script() -> Any:
    spec = importlib.util.spec_from_file_location("ablation_table", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(number: int, iteration: int, collapsed: int | None = None, **config: Any) -> RunFacts:
    folder, state = Path(f"/sweep/{number}_run"), DONE if collapsed is None else COLLAPSED
    return RunFacts(folder, folder.name, config, state=state, collapsed=collapsed, iteration=iteration)


def test_iterations_are_those_until_collapse(script: Any) -> None:
    """Of 1,500 and 2,500 the mean is 2 and the standard deviation sqrt(0.5) thousand."""
    collapsed = [run(0, 1450, 1500), run(1, 2500, 2500)]
    assert script.iterations(collapsed) == "2 ± 0.707"
    assert script.iterations([*collapsed, run(2, 3000)]) == "2 ± 0.707 (2 of 3)"
    assert script.iterations([run(0, 3000), run(1, 1000)]) == ">3"


def test_rows_are_in_the_order_of_the_jobs(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The best row comes first in an answer; job 10 comes after job 2."""
    monkeypatch.setattr(script, "parameters", lambda run: 158_300_000)
    first: dict[str, Any] = {"data.batch_size": 256, "generator.width": 64, "reg": "sn"}
    first |= {"generator.shared_embedding": False, "generator.hierarchical": False}
    last: dict[str, Any] = {"data.batch_size": 2048, "generator.width": 96, "reg": "[sn,ortho]"}
    last |= {"generator.shared_embedding": True, "generator.hierarchical": True}
    fid, score = MetricInfo("fid", "lower"), MetricInfo("is", "higher")
    rows = [
        Row("last", {}, [0], [run(10, 3000, **last)], {("fid", LAST): Estimate(8.73, None, None, 1)}),
        Row("first", {}, [0, 1], [run(2, 3000, **first)], {("fid", LAST): Estimate(18.65, 17, 20, 2, deviation=0.5)}),
    ]
    lines = script.table(Answer("", [], "", [fid, score], [LAST], [], {}, rows)).splitlines()
    assert lines[2:] == [
        "| 256 | 64 | 158 | - | - | - | >3 | 18.65 ± 0.50 | - |",
        "| 2048 | 96 | 158 | yes | yes | yes | >3 | 8.73 | - |",
    ]
