"""The first signal stops a process in good order, the second one at once, whatever the process is doing."""

import os
import pty
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import forked
from support.forked import Forked
from support.runs import TINY, state

from ganlab.core.stop_signals import Watch
from ganlab.runs import strategy

ENDLESS = (*TINY, "trainer.max_steps=1000000", "checkpoint.every_steps=1", "run.dir=run")


@pytest.fixture
def ganlab(tmp_path: Path) -> Iterator[Callable[..., Forked]]:
    """``ganlab("train", ...)``: starts the command line; what is left at the end is killed."""
    started = []

    def start(*words: str, **options: Any) -> Forked:
        started.append(Forked(words, tmp_path, **options))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGINT, signal.SIGTERM),
        (signal.SIGHUP, signal.SIGINT),
    ],
)
def test_a_second_signal_ends_a_run_in_the_middle_of_an_iteration(
    ganlab: Callable[..., Forked], tmp_path: Path, first: signal.Signals, second: signal.Signals
) -> None:
    """It was ignored if it was SIGTERM, and torch.compile may take minutes."""
    running = ganlab("train", *ENDLESS, prepare=forked.stuck_in_an_iteration)
    running.wait_for((tmp_path / "stuck").exists)
    running.signal(first)
    running.wait_for(lambda: "finishing this iteration" in running.err.read_text())
    running.signal(second)
    code, _, err = running.end()
    assert code == 128 + second
    assert "A second one stops at once." in err
    assert err.endswith("ganlab: stopped at once.\n")
    assert "Traceback" not in err
    assert state(tmp_path / "run")["ganlab"]["progress"]["iteration"] == 1


def test_many_signals_print_no_traceback(ganlab: Callable[..., Forked], tmp_path: Path) -> None:
    running = ganlab("train", *ENDLESS)
    running.wait_for((tmp_path / "run/checkpoints/last.ckpt").exists)
    for _ in range(5):
        if running.process.is_alive():
            running.signal(signal.SIGINT)
        time.sleep(0.01)
    code, _, err = running.end()
    assert code == 130
    assert "Traceback" not in err


def test_the_end_of_a_terminal_stops_a_run_in_good_order(ganlab: Callable[..., Forked], tmp_path: Path) -> None:
    """Its progress line cannot be printed any more, which is no reason to lose the checkpoint."""
    master, terminal = pty.openpty()
    running = ganlab(
        "train",
        *ENDLESS,
        "checkpoint.every_steps=100000",
        prepare=forked.of_a_terminal,
        environment={"TEST_TERMINAL": os.ttyname(terminal)},
    )
    running.wait_for((tmp_path / "run/metrics.jsonl").exists)
    os.close(terminal)
    os.close(master)
    assert running.end()[0] == 128 + signal.SIGHUP
    assert state(tmp_path / "run")["ganlab"]["progress"]["iteration"] > 0


def test_a_run_under_nohup_outlives_its_terminal(ganlab: Callable[..., Forked], tmp_path: Path) -> None:
    running = ganlab("train", *ENDLESS, prepare=forked.without_hang_up)
    running.wait_for((tmp_path / "run/checkpoints/last.ckpt").exists)
    running.signal(signal.SIGHUP)
    then = (tmp_path / "run/metrics.jsonl").stat().st_size
    running.wait_for(lambda: (tmp_path / "run/metrics.jsonl").stat().st_size > then + 2000)
    running.signal(signal.SIGTERM)
    assert running.end()[0] == 128 + signal.SIGTERM


@pytest.mark.parametrize("signals", [1, 2])
def test_a_run_that_waits_for_another_machine_can_be_stopped(
    ganlab: Callable[..., Forked], tmp_path: Path, signals: int
) -> None:
    """torch waits for it where no handler of Python's is called."""
    words = (*ENDLESS, "trainer.num_nodes=2")
    running = ganlab(
        "train", *words, prepare=forked.impatient if signals == 1 else None, environment=_node(0, _free_port())
    )
    running.wait_for(lambda: "run: " in running.out.read_text())
    time.sleep(0.5)
    for _ in range(signals):
        running.signal(signal.SIGTERM)
        time.sleep(0.1)
    assert running.end()[0] == 143


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _node(node: int, port: int) -> dict[str, str]:
    """Variables that are set on each machine on which Lightning alone starts processes."""
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": str(node)}


def test_a_rank_that_is_killed_ends_the_run_with_one_sentence(ganlab: Callable[..., Forked], tmp_path: Path) -> None:
    port = _free_port()
    words = (*ENDLESS, "trainer.num_nodes=2")
    ranks = [ganlab("train", *words, name=f"node{node}", environment=_node(node, port)) for node in (0, 1)]
    ranks[0].wait_for((tmp_path / "run/checkpoints/last.ckpt").exists)
    assert ranks[1].out.read_text() == "", "the first machine alone writes"
    ranks[1].process.kill()
    code, _, err = ranks[0].end()
    assert code == 1
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("ganlab: The run ended after iteration ")
    assert lines[0].endswith("one of its 2 processes has ended or cannot be reached. Continue with: ganlab resume run")


def test_a_process_that_waits_for_a_rank_that_has_ended_is_ended_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ranks that work together on GPUs may wait forever."""
    codes: list[int] = []
    sent: list[int] = []
    over = threading.Event()

    def end(code: int) -> None:
        codes.append(code)
        over.set()

    monkeypatch.setattr(strategy, "GRACE_SECONDS", 0.01)
    monkeypatch.setattr(strategy.os, "_exit", end)
    cluster: Any = SimpleNamespace()
    launcher = strategy.ReplicaLauncher(cluster, 3, 1)
    processes: list[Any] = [
        SimpleNamespace(poll=lambda code=code: code, pid=1, send_signal=sent.append) for code in (None, -9)
    ]
    launcher.procs = processes
    launcher._observe(over)
    assert codes == [1]
    assert sent == [signal.SIGKILL] * 2
    assert capfd.readouterr().err == (
        "ganlab: The run ended: its rank 2 has ended with -9. Continue it with `ganlab resume`.\n"
    )


def test_signals_end_no_process_that_uses_ganlab_as_a_library() -> None:
    watch = Watch()
    watch.handled(signal.SIGINT)
    watch.handled(signal.SIGINT)
