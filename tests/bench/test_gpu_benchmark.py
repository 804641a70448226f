"""`benchmarks/gpu.py`: its schedule with rows that play nothing, its table, and, slow, tiny rows on a CPU."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
# a row that writes its process and the moments of its timing into a folder
STAND_IN = """
import json, os, sys, time
row = json.loads(sys.argv[1])
log = open(os.path.join(row["folder"], row["work"]), "w")
print(os.getpid(), file=log, flush=True)
if row["does"] == "fail":
    sys.exit("no such kernel")
print(json.dumps({"flop": 2e9}), flush=True)
sys.stdin.readline()
print(time.monotonic(), file=log, flush=True)
time.sleep(60 if row["does"] == "hang" else 0.1)
print(time.monotonic(), file=log, flush=True)
print(json.dumps({"ms": 2.0}), flush=True)
time.sleep(60)
"""


@pytest.fixture
def gpu() -> Any:
    found = importlib.util.spec_from_file_location("gpu_benchmark", BENCHMARKS / "gpu.py")
    assert found is not None
    assert found.loader is not None
    module: ModuleType = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # dataclasses look for their module
    found.loader.exec_module(module)
    yield module
    del sys.modules[found.name]


def rows(folder: Path, *does: str) -> list[dict[str, Any]]:
    common = {"kind": "iteration", "side": "ganlab", "mode": "eager", "precision": "fp32", "status": "waiting"}
    return [{**common, "work": f"{i} {what}", "does": what, "folder": str(folder)} for i, what in enumerate(does)]


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


def processes(folder: Path) -> list[int]:
    return [int(path.read_text().split()[0]) for path in folder.iterdir() if path.read_text()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows").mkdir()
    return tmp_path / "rows"


@pytest.fixture(autouse=True)
def _handlers() -> Any:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_rows_are_timed_one_at_a_time_and_a_failed_one_says_why(gpu: Any, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    given = rows(folder, "play", "fail", "play", "play")
    bench = gpu.Bench(given, out, seconds=60, reserve=0, beside=3, command=[sys.executable, "-Ic", STAND_IN])
    assert bench.run() == 1
    written = json.loads(out.read_text())["rows"]
    assert [row["status"] for row in written] == ["done", "failed", "done", "done"]
    assert written[1]["error"] == "no such kernel"
    spans = sorted(tuple(map(float, path.read_text().split()[1:])) for path in folder.iterdir() if "play" in path.name)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert not any(map(alive, processes(folder)))


@pytest.mark.slow
def test_a_run_that_is_out_of_time_keeps_what_was_done_and_plays_what_comes_last(
    gpu: Any, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gpu.json"
    given = rows(folder, "play", "hang", "play")
    given[2]["last"] = True
    # one process at a time: of two, the one that hangs may be ready first, and the other is stopped for good
    bench = gpu.Bench(given, out, seconds=60, reserve=45, beside=1, command=[sys.executable, "-Ic", STAND_IN])
    assert bench.run() == 1
    written = json.loads(out.read_text())["rows"]
    assert [row["status"] for row in written] == ["done", "cut", "done"]
    assert not any(map(alive, processes(folder)))


def test_a_terminated_run_leaves_its_file_and_no_process(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    code = (
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r}); import gpu; from pathlib import Path\n"
        f"bench = gpu.Bench({rows(folder, 'play', 'hang')!r}, Path({str(out)!r}), seconds=90, reserve=0, beside=1,\n"
        f"                  command=[sys.executable, '-Ic', {STAND_IN!r}])\n"
        "sys.exit(bench.run())"
    )
    process = subprocess.Popen([sys.executable, "-Ic", code], stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (folder / "1 hang").is_file() or len((folder / "1 hang").read_text().split()) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    written = json.loads(out.read_text())["rows"]
    assert [(row["status"], row.get("error")) for row in written] == [("done", None), ("cut", "signal 15")]
    assert "| 0 play | ganlab eager fp32 | 2.00 |" in said
    assert not any(map(alive, processes(folder)))


def test_rows_are_compared_with_the_fastest_reference_and_with_the_peak_of_their_precision(gpu: Any) -> None:
    """2·10⁹ operations in 4 ms are 0.5 TFLOP/s, a quarter of 2; 4 ms beside the faster of 8 and 10 ms are 0.5."""
    same = {"kind": "iteration", "work": "a", "status": "done", "mode": "eager"}
    given = [
        {"kind": "peak", "status": "done", "fp32": 1.0, "bf16": 2.0, "work": "peak", "side": "torch"},
        {**same, "side": "reference", "precision": "fp32", "ms": 10.0, "flop": 3e9},
        {**same, "side": "reference", "precision": "fp16", "ms": 8.0},
        {**same, "side": "ganlab", "precision": "fp32", "ms": 8.0, "flop": 2e9},
        {**same, "side": "ganlab", "precision": "bf16", "ms": 4.0},
        {**same, "side": "ganlab", "precision": "bf16", "ms": 1.0, "work": "b"},
    ]
    gpu.complete(given)
    assert [row.get("ratio") for row in given] == [None, None, None, 1.0, 0.5, None]
    assert given[4]["tflops"] == 0.5
    assert given[4]["share_of_peak"] == 0.25
    assert given[1]["tflops"] == 0.3
    assert "tflops" not in given[5]


def test_goals_come_first_and_references_only_with_their_checkouts(gpu: Any, tmp_path: Path) -> None:
    (tmp_path / "BigGAN-PyTorch").mkdir()
    found = gpu.rows("cuda", tmp_path)
    assert [row["work"] for row in found[:5]] == ["peak", "biggan_32", "biggan_128", "biggan_32", "biggan_128"]
    assert [row["precision"] for row in found[1:5]] == ["fp32", "fp32", "fp16", "fp16"]
    assert {row["side"] for row in found[5:]} == {"ganlab"}
    assert next(row["work"] for row in found if row.get("last")) == "evaluate"
    assert not any("recorded=true" in row.get("words", ()) for row in gpu.rows("cpu", None))


def test_trials_are_played_where_they_are_named_and_change_what_is_there(
    gpu: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    changes = importlib.import_module("gpu_row").TRIALS
    for module, name, _ in changes.values():
        assert hasattr(importlib.import_module(module), name)
    assert {name for name, words in gpu.TRIALS.items() if words == ("recorded=false",)} == set(changes)
    assert not {row["mode"] for row in gpu.rows("cuda", None)} & set(gpu.TRIALS)
    found = [row for row in gpu.rows("cuda", None, ["biggan_32"], ["eager", "tf32", "unfolded"]) if row.get("words")]
    assert [(row["mode"], row["precision"]) for row in found] == [
        ("eager", "fp32"), ("eager", "bf16"), ("tf32", "fp32"), ("unfolded", "bf16"),
    ]  # fmt: skip


@pytest.mark.slow
def test_tiny_rows_on_a_cpu_fill_the_table(tmp_path: Path) -> None:
    words = ["cpu", "only=r1_64,default job", "modes=eager", f"out={tmp_path}/gpu.json"]
    words = [sys.executable, str(BENCHMARKS / "gpu.py"), *words]
    done = subprocess.run(words, capture_output=True, text=True, timeout=560, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    written = {
        (row["work"], row["mode"], row["precision"]): row
        for row in json.loads((tmp_path / "gpu.json").read_text())["rows"]
    }
    row = written["r1_64", "eager", "fp32"]
    assert row["status"] == "done", done.stdout
    assert all(row[name] > 0 for name in ("flop", "ms", "first_seconds"))
    assert row["launches"] == 0
    assert written["r1_64", "eager", "bf16"]["tflops"] > 0
    assert written["default job", "", ""]["images_per_second_at_end"] > 0, done.stdout
