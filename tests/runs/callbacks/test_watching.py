"""Instruments in a run: their lines, their state, what they refuse, and that they change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from support.runs import Train, assert_bit_equal, metrics, state
from torch import Tensor

from ganlab.config import compose
from ganlab.contracts.instrument import Instrument, Step, Subject
from ganlab.core import registry
from ganlab.core.errors import GanlabError
from ganlab.runs import session


class Counting(Instrument):
    """Counts its measurements, and the steps that it was shown.

    Args:
        fails_at: The measurement that fails; 0: none.
    """

    cost = "none"
    iterations = 2

    def __init__(self, fails_at: int = 0) -> None:
        self.fails_at, self.count, self.steps = fails_at, 0, 0

    def measure(self, subject: Subject) -> Mapping[str, Tensor]:
        self.count += 1
        if self.count == self.fails_at:
            raise KeyError("of its author")
        return {"count": torch.tensor(self.count), "steps": torch.tensor(self.steps)}

    @contextmanager
    def observe(self, step: Step) -> Iterator[None]:
        assert all(parameter.grad is not None for parameter in step.parameters)
        before = [parameter.detach().clone() for parameter in step.parameters]
        yield
        assert not all(map(torch.equal, before, step.parameters))
        self.steps += 1

    def state_dict(self) -> dict[str, int]:
        return {"count": self.count, "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.count, self.steps = state["count"], state["steps"]


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {("watch", "counting"): Counting})


def test_lines_have_the_numbers_at_the_interval_and_there_alone(train: Train) -> None:
    folder = train("watch=[counting,spectra]", "watch.every_steps=3", "trainer.log_every_n_steps=2", steps=7)
    lines = metrics(folder)
    assert [line["iteration"] for line in lines] == [2, 3, 4, 6, 7]
    assert {line["iteration"]: line["counting/count"] for line in lines if "counting/count" in line} == {3: 1, 6: 2}
    assert [line["iteration"] for line in lines if "spectra/generator/convs.0/sigma0" in line] == [3, 6]
    assert all("generator/adversarial" in line and "kimg" in line for line in lines)


def test_an_instrument_is_shown_the_steps_of_the_last_iterations_before_a_measurement(train: Train) -> None:
    """Two players step once in each of the iterations 4 and 5, then of 9 and 10; not in those between."""
    lines = metrics(train("watch=counting", "watch.every_steps=5", steps=10))
    assert [line["counting/steps"] for line in lines if "counting/steps" in line] == [4, 8]


def test_instruments_change_nothing_that_is_trained_and_a_resumed_run_logs_the_same(train: Train) -> None:
    words = ("checkpoint.every_steps=1", "generator.latent_dim=60", "generator.width=16")
    plain = train(*words, name="plain", steps=6)
    watched = (*words, "watch=[counting,spectra]", "watch.every_steps=2")
    whole, part = (train(*watched, name=f"{steps}", steps=steps) for steps in (6, 3))
    session.resume(part, {"trainer.max_steps": 6})
    one, other = state(plain), state(whole)
    assert_bit_equal(one["state_dict"], other["state_dict"])
    assert_bit_equal(state(part), other)
    assert metrics(part) == metrics(whole)
    vectors = torch.load(whole / "checkpoints/last.ckpt", weights_only=True)["callbacks"]["Watching"]["spectra"]
    assert vectors["vectors"], "a weight is large enough to be iterated, so that a resumed run needs its vectors"


def test_a_resumed_run_may_have_other_instruments_and_another_interval(train: Train) -> None:
    folder = train("watch=counting", "watch.every_steps=2", steps=2)
    session.resume(folder, {"trainer.max_steps": 4, "watch": ["spectra", "counting"], "watch.every_steps": 1})
    lines = metrics(folder)
    assert [line.get("counting/count") for line in lines] == [None, 1, 2, 3]
    assert ["spectra/generator/convs.0/sigma0" in line for line in lines] == [False, False, True, True]
    session.resume(folder, {"trainer.max_steps": 5, "watch": "none"})
    assert not any("/count" in name for name in metrics(folder)[-1])


def test_an_instrument_that_fails_ends_the_run_with_a_sentence(train: Train, tmp_path: Path) -> None:
    with pytest.raises(
        GanlabError, match=r"^watch\.counting failed in measure, .* after iteration 2: .* resume .*run`"
    ) as raised:
        train("watch=counting", "watch.every_steps=2", "watch.counting.fails_at=1", steps=6)
    assert str(raised.value).endswith("watch=none`.")
    assert metrics(tmp_path / "run")[-1]["iteration"] == 2


WRONG = {
    "watch=spectre": r"No instrument is called 'spectre'\. Did you mean 'spectra'",
    "watch.every_steps=0 watch=spectra": r"watch\.every_steps must be at least 1, got 0",
    "watch=[spectra,spectra]": r"watch names 'spectra' twice",
    "watch.spectra.players=[generator]": r"has no effect because the instrument 'spectra' is not in use",
    "watch.evry_steps=3": r"'watch\.evry_steps' is no option\. Did you mean 'watch\.every_steps'",
    "watch=spectra watch.spectra.player=x": r"'watch\.spectra\.player' is no option",
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_words_are_refused_with_one_sentence(words: str) -> None:
    with pytest.raises(GanlabError, match=WRONG[words]):
        compose.read(words.split())


def test_an_instrument_that_the_run_cannot_have_is_refused_before_it_begins(train: Train, tmp_path: Path) -> None:
    with pytest.raises(GanlabError, match=r"^watch=spectra: the game has no player 'encoder'"):
        train("watch=spectra", "watch.spectra.players=[encoder]")
    assert not (tmp_path / "run").exists()
