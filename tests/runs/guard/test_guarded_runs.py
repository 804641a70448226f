"""Guarded runs: what `warn`, `stop` and `rollback` leave behind, again after a kill, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from support.runs import TINY, Start, Train, assert_bit_equal, metrics, state

from ganlab import cli
from ganlab.config import compose
from ganlab.config.sections import GuardOptions
from ganlab.core.errors import GanlabError
from ganlab.data.digits import Digits
from ganlab.reports import logged, run_page
from ganlab.runs import checkpoints, session
from ganlab.runs.callbacks import evaluating
from ganlab.runs.callbacks.guard import GuardError
from ganlab.runs.guard import signs
from ganlab.runs.guard.events import Event, events
from ganlab.runs.guard.history import History
from ganlab.runs.guard.signs import Sign

# the discriminator's rate is zero from iteration 7 on: it is frozen there, in each attempt
FREEZES = ("optimizer.discriminator.lr={from:1e-3,to:0,end_steps:6}", "guard.every_steps=1", "checkpoint.every_steps=2")
WATCHED = "generator/adversarial"


def planted(monkeypatch: pytest.MonkeyPatch, train: Train, at: int) -> None:
    """Have the guard see a sign in iteration ``at``, two iterations after its beginning, of the numbers that the first
    attempt has there: in another attempt, with other images, they are others."""
    folder = train("guard=off", name="numbers", steps=at)
    number = metrics(folder)[-1][WATCHED]

    def look(history: History, limits: GuardOptions) -> Iterator[Sign]:
        iteration, value = history[WATCHED][-1]
        if iteration == at and value == pytest.approx(number, rel=1e-4):
            yield Sign("planted", WATCHED, at - 2, f"it is {value:.3g}.")

    monkeypatch.setattr(signs, "SIGNS", (look,))


def of(folder: Path) -> list[tuple[str, str, int, int, int]]:
    return [(e.sign, e.action, e.began, e.noticed, e.iteration) for e in events(folder)]


def test_a_guard_that_sees_nothing_says_nothing_and_changes_nothing(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    guarded = train("guard.every_steps=1", name="guarded")
    said = capsys.readouterr().out
    off = train("guard=off", name="off")
    assert not any(line.startswith("guard") for line in said.splitlines())
    assert events(guarded) == []
    assert_bit_equal(state(guarded), state(off))
    numbers = [{name for name in line if name.startswith("guard/")} for line in metrics(guarded)]
    assert all({"guard/generator/step", "guard/images/diversity", "guard/labels/fakes"} <= line for line in numbers)
    assert not any("guard/" in name for line in metrics(off) for name in line)


def test_lines_have_the_numbers_at_the_interval_and_there_alone(train: Train) -> None:
    lines = metrics(train("guard.every_steps=3", "trainer.log_every_n_steps=2", steps=6))
    assert [line["iteration"] for line in lines] == [2, 3, 4, 6]
    assert [line["iteration"] for line in lines if "guard/generator/weights" in line] == [3, 6]


def test_a_warning_is_one_sentence_and_an_event_and_the_run_goes_on(
    train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train(*FREEZES, steps=10)
    assert [(e[0], e[1], e[2], e[3]) for e in of(folder)] == [("frozen", "warn", 7, 8)]
    assert metrics(folder)[-1]["iteration"] == 10
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("guard")]
    assert said == ["guard at iteration 8, frozen since 7: the weights of the discriminator do not move."]


def test_a_sign_that_comes_and_goes_is_said_once_until_it_has_been_away_for_long(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def look(history: History, limits: GuardOptions) -> Iterator[Sign]:
        iteration, _ = history[WATCHED][-1]
        if iteration in (2, 4, 6, 12):
            yield Sign("planted", WATCHED, iteration, "it is so.")

    monkeypatch.setattr(signs, "SIGNS", (look,))
    words = ("guard.every_steps=1", "guard.patience=1")
    folder = train(*words, steps=8)
    session.resume(folder, {"trainer.max_steps": 13})
    assert [event.noticed for event in events(folder)] == [2, 12]
    assert sum(line.startswith("guard at") for line in capsys.readouterr().out.splitlines()) == 2


def test_stop_ends_the_run_with_its_newest_unbroken_state(train: Train, tmp_path: Path) -> None:
    with pytest.raises(
        GuardError, match=r"after iteration 8, frozen since 7: .* state, of iteration 6, .*resume .*run`"
    ) as raised:
        train("guard=stop", *FREEZES, steps=20)
    assert raised.value.exit_code == 3
    folder = tmp_path / "run"
    assert of(folder) == [("frozen", "stop", 7, 8, 8)]
    assert state(folder)["ganlab"]["progress"]["iteration"] == 6
    assert not (folder / "checkpoints/step_000000008.ckpt").exists()
    session.resume(folder, {"guard.action": "warn", "trainer.max_steps": 9})
    assert of(folder) == [("frozen", "warn", 7, 8, 8)]


def test_the_command_that_is_stopped_exits_with_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", *TINY, "guard=stop", *FREEZES, "trainer.max_steps=20", f"run.dir={tmp_path / 'run'}"]
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    error = capsys.readouterr().err
    assert left.value.code == 3, error
    assert error.startswith("ganlab: The guard has ended the run after iteration 8, frozen since 7: ")
    assert len(error.splitlines()) == 1


def test_numbers_that_are_not_finite_are_a_sign_for_stop_and_for_warn_an_error_as_ever(
    train: Train, tmp_path: Path
) -> None:
    rates = ("optimizer.generator.lr=1e30", "optimizer.discriminator.lr=1e30", "guard.every_steps=1")
    with pytest.raises(GuardError, match="not_finite since") as raised:
        train("guard=stop", *rates, steps=40)
    assert raised.value.exit_code == 3
    assert [event.sign for event in events(tmp_path / "run")] == ["not_finite"]
    for action in ("off", "warn"):
        with pytest.raises(GanlabError, match="The run has diverged") as other:
            train(f"guard={action}", *rates, steps=40, name=action)
        assert other.value.exit_code == 2


ROLLBACK = ("guard=rollback", "guard.every_steps=1", "checkpoint.every_steps=2", "checkpoint.keep=1")


def test_rollback_goes_on_from_before_the_sign_with_other_draws(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, train, at=8)
    plain = train("guard=off", "checkpoint.every_steps=2", name="plain", steps=12)
    folder = train(*ROLLBACK, steps=12)
    assert of(folder) == [("planted", "rollback", 6, 8, 4)]
    lines = [line for line in metrics(folder) if "event" not in line]
    assert [line["iteration"] for line in lines] == list(range(1, 13))
    before, after = ([line[WATCHED] for line in run] for run in (metrics(plain), lines))
    assert before[:4] == after[:4]
    assert all(one != other for one, other in zip(before[4:], after[4:], strict=True))
    assert [event["action"] for event in state_of_guard(folder)] == ["rollback"]


def state_of_guard(folder: Path) -> list[dict[str, str]]:
    found = checkpoints.load(folder / "checkpoints/last.ckpt")["callbacks"]["Guard"]["events"]
    return list(found)


@pytest.mark.parametrize(
    "ended_at", [pytest.param(5, marks=pytest.mark.slow), 7, pytest.param(9, marks=pytest.mark.slow)]
)
def test_a_run_that_ends_and_is_resumed_around_a_rollback_equals_one_that_never_ended(
    ended_at: int, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(monkeypatch, train, at=8)
    whole = train(*ROLLBACK, name="whole", steps=12)
    part = train(*ROLLBACK, name="part", steps=ended_at)
    session.resume(part, {"trainer.max_steps": 12})
    assert_bit_equal(state(part), state(whole))
    assert metrics(part) == metrics(whole)
    assert events(part) == events(whole)


def test_a_run_that_ends_just_before_a_look_and_is_resumed_measures_what_one_that_never_ended_does(
    train: Train,
) -> None:
    whole = train("guard.every_steps=3", name="whole", steps=6)
    part = train("guard.every_steps=3", name="part", steps=5)
    session.resume(part, {"trainer.max_steps": 6})
    assert "guard/generator/turn" in metrics(whole)[-1]
    assert metrics(part)[-1] == metrics(whole)[-1]


def test_a_run_goes_back_so_often_and_then_ends_and_each_time_further(train: Train, tmp_path: Path) -> None:
    with pytest.raises(GuardError, match="after 2 rollbacks, frozen since 7"):
        train("guard=rollback", "guard.rollbacks=2", *FREEZES, "checkpoint.keep=9", steps=20)
    found = of(tmp_path / "run")
    assert [(action, at) for _, action, *_, at in found] == [("rollback", 6), ("rollback", 4), ("stop", 8)]


def test_a_run_without_a_checkpoint_from_before_begins_anew_with_lower_rates(train: Train, tmp_path: Path) -> None:
    words = ("guard=rollback", "guard.rates=0.5", "guard.every_steps=1", "optimizer.discriminator.lr=0")
    with pytest.raises(GuardError, match="after 2 rollbacks"):
        train(*words, "checkpoint.every_steps=3", steps=20)
    folder = tmp_path / "run"
    assert [(action, at) for _, action, *_, at in of(folder)] == [("rollback", 0), ("rollback", 0), ("stop", 2)]
    lines = [line for line in metrics(folder) if "event" not in line]
    assert [line["generator/learning_rate"] for line in lines] == [pytest.approx(2e-4 / 4)] * 2


def test_the_checkpoint_from_before_a_suspicion_is_kept(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(history: History, limits: GuardOptions) -> Iterator[Sign]:
        if history[WATCHED][-1][0] >= 5:
            yield Sign("planted", WATCHED, 5, "it is so.", sure=False)

    monkeypatch.setattr(signs, "SIGNS", (look,))
    folder = train(*ROLLBACK, steps=12)
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == [
        "last.ckpt", "step_000000004.ckpt", "step_000000010.ckpt",
    ]  # fmt: skip


def test_go_back_makes_the_newest_from_before_the_last_one(copied: Path) -> None:
    folder = copied / "checkpoints"
    assert checkpoints.go_back(folder, 1) is None
    found = checkpoints.go_back(folder, 4)
    assert found == folder / "last.ckpt"
    assert checkpoints.load(found)["ganlab"]["progress"]["iteration"] == 3
    assert checkpoints.candidates(folder)[1:] == [folder / "step_000000002.ckpt"]


def test_events_of_another_form_are_passed_over(tmp_path: Path) -> None:
    event = Event(4, 0.03, 0, "collapse", "warn", 3, 4, "guard/images/diversity", "they do.")
    lines = [vars(event), {**vars(event), "began": "x"}, {"event": 1}, [], {"iteration": 1}]
    import json

    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert events(tmp_path) == [event]
    assert events(tmp_path / "none") == []


WRONG = {
    "guard=stopp": r"guard\.action must be one of off, warn, stop, rollback, got 'stopp'",
    "guard.every_steps=0": r"guard\.every_steps must be at least 1, got 0",
    "guard.rollback=1": r"'guard\.rollback' is no option\. Did you mean 'guard\.rollbacks'",
    "guard.rates=2": r"guard\.rates must be in \(0, 1\], got 2",
    "guard.collapse=-1": r"guard\.collapse must be",
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_words_are_refused_with_one_sentence(words: str) -> None:
    with pytest.raises(GanlabError, match=WRONG[words]):
        compose.read(words.split())


def test_rollback_without_checkpoints_is_refused_before_it_begins(train: Train, tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match=r"guard=rollback has nothing to go back to: .*checkpoint\.every_steps=500"):
        train("guard=rollback", steps=20)
    assert not (tmp_path / "run").exists()


def test_labels_that_belong_to_nothing_end_a_run_that_could_go_back(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Digits.__init__

    def shuffled(self: Digits) -> None:
        made(self)
        assert self.labels is not None
        self.labels = np.random.default_rng(0).permutation(self.labels)

    monkeypatch.setattr(Digits, "__init__", shuffled)
    with pytest.raises(GuardError, match="after iteration 1, data since 1: labels say nothing of their images"):
        train(*ROLLBACK, steps=12)
    assert [event.action for event in events(tmp_path / "run")] == ["stop"]


def test_the_page_says_what_the_guard_saw_and_draws_its_evidence(train: Train) -> None:
    folder = train(*FREEZES, steps=10)
    text = run_page.write(folder, "finished").read_text()
    assert "iteration 8, frozen since 7: the weights of the discriminator do not move." in text
    assert "What the guard saw" in text
    assert "began" not in logged.read(folder).scalars
    assert "The guard</h2>" not in run_page.write(train("guard=off", name="off"), "finished").read_text()


def test_a_score_that_has_risen_is_a_sign(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = iter((60.0, 50.0, 200.0, 200.0))
    monkeypatch.setattr(evaluating.scores, "loss", lambda value: next(scored, 200.0))
    folder = train(
        "guard.every_steps=1", "evaluate.every_kimg=0.016", "evaluate.metrics=[kid]", "evaluate.samples=20", steps=8
    )  # fmt: skip
    assert [(event.sign, event.quantity) for event in events(folder)] == [("score", "evaluation/kid")]


@pytest.mark.slow
def test_two_ranks_are_taken_back_as_one_process_is(command: Start, tmp_path: Path) -> None:
    words = ("train", *TINY, "guard=rollback", *FREEZES, "checkpoint.keep=9", "trainer.max_steps=20")
    for devices, name in ((1, "one"), (2, "two")):
        code, _, error = command(*words, f"trainer.devices={devices}", f"run.dir={name}").end(300)
        assert code == 3, error
        assert "Traceback" not in error
    one, two = tmp_path / "one", tmp_path / "two"
    assert [vars(event) for event in events(two)] == [vars(event) for event in events(one)]
    assert [event.action for event in events(two)] == ["rollback", "rollback", "stop"]
    for mine, theirs in zip(metrics(two), metrics(one), strict=True):
        assert {name: mine[name] for name in mine if name.startswith("guard/")} == pytest.approx(
            {name: theirs[name] for name in theirs if name.startswith("guard/")}, rel=1e-3, abs=1e-3
        )
    found, expected = state(two)["state_dict"], state(one)["state_dict"]
    for name, weight in expected.items():
        assert torch.allclose(found[name].double(), weight.double(), atol=1e-4), name
