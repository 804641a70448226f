"""However a run ends, its last iteration is logged; one that goes on has the lines of a run that never stopped."""

import itertools
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import Timer
from support.killing import killed
from support.runs import TINY, Train, assert_bit_equal, metrics, state

from ganlab.engine.module import GameModule
from ganlab.runs import session
from ganlab.runs.callbacks.grids import Grids

LAST = 5
EVERY = "trainer.log_every_n_steps=3"
Patch = pytest.MonkeyPatch


def by_signal(number: signal.Signals) -> Callable[[Patch], Sequence[str]]:
    def arrange(monkeypatch: Patch) -> Sequence[str]:
        signal.signal(number, signal.SIG_DFL)  # the tests themselves may run under nohup
        evaluate = GameModule.evaluate
        done: list[int] = []

        def patched(self: GameModule, slot: Any, reals: Any) -> None:
            evaluate(self, slot, reals)
            if self.progress.iteration == LAST - 1 and not done:
                done.append(1)
                signal.raise_signal(number)

        monkeypatch.setattr(GameModule, "evaluate", patched)
        return []

    return arrange


def by_max_time(monkeypatch: Patch) -> Sequence[str]:
    seconds = itertools.chain([0.0] * LAST, itertools.repeat(1e9))  # it looks before the first iteration, too
    monkeypatch.setattr(Timer, "time_elapsed", lambda self, stage="train": next(seconds))
    return ["trainer.max_time=00:01:00:00"]


def by_a_callback(monkeypatch: Patch) -> Sequence[str]:
    """As one that stops early: after the callback that records."""
    write = Grids.on_train_batch_end

    def patched(self: Grids, trainer: Any, pl_module: Any, *arguments: Any) -> None:
        write(self, trainer, pl_module, *arguments)
        if pl_module.progress.iteration == LAST:
            trainer.should_stop = True

    monkeypatch.setattr(Grids, "on_train_batch_end", patched)
    return []


ENDS: dict[str, Callable[[Patch], Sequence[str]]] = {
    "Ctrl-C": by_signal(signal.SIGINT),
    "SIGTERM": by_signal(signal.SIGTERM),
    "SIGHUP": by_signal(signal.SIGHUP),
    "max_time": by_max_time,
    "a callback": by_a_callback,
    "max_kimg": lambda monkeypatch: ["run.max_kimg=0.04"],
    "max_steps": lambda monkeypatch: [f"trainer.max_steps={LAST}"],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ganlab.config import compose

    folder = tmp_path_factory.mktemp("whole") / "run"
    return session.start(compose.read([*TINY, EVERY, "trainer.max_steps=7", f"run.dir={folder}"])).folder


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_the_last_iteration_is_logged_and_a_run_that_goes_on_has_the_lines_of_one_that_never_stopped(
    train: Train, monkeypatch: Patch, whole: Path, end: Callable[[Patch], Sequence[str]]
) -> None:
    with monkeypatch.context() as patch:
        folder = train(EVERY, "trainer.max_steps=100", *end(patch))
    assert state(folder)["ganlab"]["progress"]["iteration"] == LAST
    lines = metrics(folder)
    assert [line["iteration"] for line in lines] == [3, LAST]
    assert {"discriminator/adversarial", "generator/adversarial", "discriminator/real_logits"} <= set(lines[-1])
    session.resume(folder, {"trainer.max_steps": 7, "run.max_kimg": None, "trainer.max_time": None})
    assert_bit_equal(state(folder), state(whole))
    assert metrics(folder) == metrics(whole)


def test_the_line_of_the_last_iteration_is_that_of_a_run_that_logs_them_all(train: Train) -> None:
    last, all_of_them = train(EVERY, name="last", steps=LAST), train(name="all", steps=LAST)
    assert metrics(last) == [line for line in metrics(all_of_them) if line["iteration"] in (3, LAST)]


def test_a_line_of_the_interval_is_kept_by_a_run_that_goes_on(train: Train) -> None:
    folder = train(EVERY, steps=6)
    session.resume(folder, {"trainer.max_steps": 7})
    assert [line["iteration"] for line in metrics(folder)] == [3, 6, 7]


def test_a_run_that_is_killed_after_its_last_checkpoint_has_its_last_line(tmp_path: Path, whole: Path) -> None:
    """It is finished: no resume would write the line."""
    folder = tmp_path / "run"
    words = [*TINY, EVERY, "trainer.max_steps=7", "checkpoint.every_steps=7", f"run.dir={folder}"]
    assert killed(words, "after a rename", 1) == -signal.SIGKILL
    assert metrics(folder) == metrics(whole)
