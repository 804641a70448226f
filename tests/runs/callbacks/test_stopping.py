"""Ctrl-C, SIGTERM and budgets end a run between two iterations; the count is one an iteration."""

import functools
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from support.runs import TINY, Start, Train, assert_bit_equal, metrics, state

from ganlab import cli
from ganlab.contracts.callback import RunContext
from ganlab.engine.module import GameModule
from ganlab.runs import session
from ganlab.runs.callbacks.signals import Signals
from ganlab.runs.callbacks.stopping import Stopping


def at(monkeypatch: pytest.MonkeyPatch, iteration: int, act: Callable[[], object]) -> None:
    """Do something in the middle of an iteration."""
    evaluate = GameModule.evaluate
    done: list[int] = []

    def patched(self: GameModule, slot: Any, reals: Any) -> None:
        evaluate(self, slot, reals)
        if self.progress.iteration == iteration and not done:
            done.append(1)
            act()

    monkeypatch.setattr(GameModule, "evaluate", patched)


@pytest.mark.parametrize(("number", "code", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
def test_a_signal_finishes_the_iteration_writes_a_checkpoint_and_says_how_to_go_on(
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
    name: str,
) -> None:
    whole = train("accumulate=2", name="whole", steps=6)
    at(monkeypatch, 2, lambda: signal.raise_signal(number))
    words = [*TINY, "accumulate=2", "trainer.max_steps=6", f"run.dir={tmp_path / 'run'}"]
    assert cli.dispatch(["train", *words]) == code
    captured = capfd.readouterr()
    assert f"{name}: finishing this iteration, then writing a checkpoint." in captured.err
    assert f"Stopped by {name} after iteration 3. Continue with: ganlab resume {tmp_path / 'run'}" in captured.out
    assert state(tmp_path / "run")["ganlab"]["progress"]["iteration"] == 3
    assert (tmp_path / "run/samples/iteration_000000003.png").is_file()
    assert cli.dispatch(["resume", str(tmp_path / "run")]) == 0
    assert_bit_equal(state(tmp_path / "run"), state(whole))
    assert metrics(tmp_path / "run") == metrics(whole)


def test_resuming_can_be_interrupted_too(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 5, lambda: signal.raise_signal(signal.SIGTERM))
    assert cli.dispatch(["resume", str(copied), "trainer.max_steps=20"]) == 143
    assert state(copied)["ganlab"]["progress"]["iteration"] == 6


def test_a_second_ctrl_c_stops_at_once_and_the_last_checkpoint_stays(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    at(monkeypatch, 5, twice)
    with pytest.raises(SystemExit) as caught:
        cli.main(["resume", str(copied), "trainer.max_steps=20"])
    assert caught.value.code == 130
    assert state(copied)["ganlab"]["progress"]["iteration"] == 5
    assert signal.getsignal(signal.SIGINT) is cli._leave, "Ctrl-C works as before"


def test_sigterm_after_ctrl_c_stops_at_once_too(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def both() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)

    at(monkeypatch, 5, both)
    with pytest.raises(SystemExit) as caught:
        cli.dispatch(["resume", str(copied), "trainer.max_steps=20"])
    assert caught.value.code == 143
    assert state(copied)["ganlab"]["progress"]["iteration"] == 5


def test_ctrl_c_beats_lightnings_min_steps(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 1, lambda: signal.raise_signal(signal.SIGINT))
    folder = train("trainer.min_steps=30", steps=30)
    assert state(folder)["ganlab"]["progress"]["iteration"] == 2


def test_handlers_are_put_back(train: Train) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    train()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_training_runs_in_a_thread_that_may_not_set_handlers(train: Train) -> None:
    import threading

    failures = []

    def attempt() -> None:
        try:
            train()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    assert not failures


# --- counts


@pytest.mark.parametrize(
    ("options", "images_an_iteration"),
    [([], 8), (["game.discriminator_steps=3"], 24), (["accumulate=4"], 8), (["game.update=extragradient"], 8)],
)
def test_global_step_counts_iterations_though_there_are_several_optimizers(
    train: Train, options: list[str], images_an_iteration: int
) -> None:
    """Lightning issue 17958: it grows by one a step of each optimizer. Silencing it leans on the
    private names ``_on_before_step`` and ``_on_after_step`` of Lightning's optimizer wrappers."""
    folder = train(*options, "reg=r1", "reg.r1.interval_steps=2", steps=5)
    stored = state(folder)
    assert stored["global_step"] == 5
    assert stored["ganlab"]["progress"] == {
        "iteration": 5,
        "images_seen": 5 * images_an_iteration,
        "images_consumed": 5 * images_an_iteration,
    }
    assert [line["iteration"] for line in metrics(folder)] == [1, 2, 3, 4, 5]


def test_global_step_counts_iterations_of_a_single_optimizer(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from ganlab.contracts.turn import Turn
    from ganlab.games.standard import Standard

    monkeypatch.setattr(
        Standard, "turns", lambda self: (Turn(("discriminator",), repeat=2, reals="fresh", counts=True),)
    )
    original = Standard.__init__

    @functools.wraps(original)
    def alone(self: Any, **options: Any) -> None:
        original(self, **options)
        del self.players["generator"]

    monkeypatch.setattr(Standard, "__init__", alone)
    stored = state(train(steps=3))
    assert (stored["global_step"], stored["ganlab"]["progress"]["images_seen"]) == (3, 48)


@pytest.mark.parametrize(("kimg", "iterations"), [(0.016, 2), (0.017, 3), (0.001, 1)])
def test_max_kimg_stops_after_the_iteration_that_reaches_it(train: Train, kimg: float, iterations: int) -> None:
    assert state(train(f"run.max_kimg={kimg}", steps=50))["ganlab"]["progress"]["iteration"] == iterations


def test_max_kimg_counts_the_discriminators_images(train: Train) -> None:
    folder = train("run.max_kimg=0.04", "game.discriminator_steps=2", steps=50)
    assert state(folder)["ganlab"]["progress"]["images_seen"] == 48


def test_steps_that_end_a_run_before_its_kimg_are_pointed_out(train: Train, capfd: pytest.CaptureFixture[str]) -> None:
    train("run.max_kimg=1", steps=2)
    assert (
        "trainer.max_steps=2 ended the run before run.max_kimg=1. Continue with: ganlab resume"
        in capfd.readouterr().out
    )


def test_no_iterations_at_all_are_a_run_too(train: Train) -> None:
    folder = train(steps=0)
    assert (folder / "config.yaml").is_file()
    assert metrics_or_none(folder) == []


def metrics_or_none(folder: Path) -> list[dict[str, Any]]:
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def test_a_signal_that_comes_while_the_ranks_agree_ends_the_next_iteration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was lost: the ranks agreed on what they had before it, and that was taken for all there was."""
    run = RunContext(Path("nowhere"))
    stopping, signals = Stopping(run), Signals(run)
    stopping._group = object()
    arriving = [signal.SIGTERM]

    def all_reduce(flag: Any, **options: Any) -> None:
        if arriving:
            signals._receive(arriving.pop(), None)

    monkeypatch.setattr("torch.distributed.all_reduce", all_reduce)
    trainer: Any = SimpleNamespace(
        should_stop=False, fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(min_steps=None))
    )
    monkeypatch.setattr(stopping, "_check_budget", lambda trainer, module: None)
    stopped = []
    module: Any = None
    for _ in range(2):
        stopping.on_train_batch_end(trainer, module, None, None, 0)
        stopped.append(trainer.should_stop)
    assert stopped == [False, True]  # at once it would be this rank alone
    assert run.ending.signal == signal.SIGTERM


# --- the installed command


@pytest.mark.slow
def test_the_installed_command_heeds_ctrl_c_in_training_and_before_it(tmp_path: Path, command: Start) -> None:
    """Both at once, since most of their time is spent on imports."""
    folder = tmp_path / "run"
    running = command("train", *TINY, "trainer.max_steps=100000", "checkpoint.every_steps=3", f"run.dir={folder}")
    early = command("train", *TINY, "trainer.max_steps=100000", f"run.dir={tmp_path / 'early'}")
    time.sleep(1.0)  # importing
    early.signal(signal.SIGTERM)
    code, _, err = early.end()
    assert code in (143, -signal.SIGTERM), err  # the latter before ganlab's first line
    assert "Traceback" not in err
    assert not (tmp_path / "early").exists()
    running.wait_for(lambda: (folder / "checkpoints/last.ckpt").exists())
    running.signal(signal.SIGINT)
    code, out, err = running.end()
    assert code == 130
    assert "Ctrl-C: finishing this iteration" in err
    assert "Traceback" not in err
    assert "Continue with: ganlab resume run\n" in out
    iteration = state(folder)["ganlab"]["progress"]["iteration"]
    assert f"after iteration {iteration}." in out
    assert yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["max_steps"] == 100000


@pytest.mark.slow
def test_a_sweep_runs_each_job_once_and_stops_when_it_is_interrupted(tmp_path: Path, command: Start) -> None:
    """Two ranks a job: nobody but the sweep itself may start the second job."""
    sweep = tmp_path / "sweep"
    words = [w for w in TINY if not w.startswith("checkpoint")]
    running = command(
        "train",
        "-m",
        *words,
        "trainer.devices=2",
        "seed=1,2,3",
        "trainer.max_steps=100000",
        "checkpoint.every_steps=3",
        f"run.dir={sweep}",
    )
    running.wait_for(lambda: list(sweep.glob("*/checkpoints/last.ckpt")) != [], seconds=240)
    running.signal(signal.SIGINT)  # to the sweep alone, not to its job as a terminal would
    code, out, err = running.end()
    assert code == 130, err
    assert [p.name for p in sweep.iterdir() if p.is_dir() and p.name != ".hydra"] == ["0_seed-1"]
    assert "The sweep was interrupted." in out
    assert (sweep / "0_seed-1" / "output.txt").read_text().count("Stopped by SIGTERM") == 1
    assert "Traceback" not in err
    assert state(sweep / "0_seed-1")["ganlab"]["progress"]["iteration"] > 0
    assert session.Outcome(sweep, None, 0.0, signal.SIGTERM).exit_code == 143
