"""The report of `ganlab bench` about regularizers: of made-up times, and once of real ones."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ganlab import cli
from ganlab.bench import regularizer_cost
from ganlab.config import compose
from ganlab.contracts.turn import Turn
from ganlab.core.errors import GanlabError

TINY = ["model=dcgan", "generator.width=4", "discriminator.width=4", "data.batch_size=4"]
COSTS = {"sn": 1.0, "drift": 0.25, "r1": 2.0, "gradient_penalty": 4.0}


class Timed:
    """A run that takes 2 s an iteration and what its regularizers cost; r1 plays every second iteration only."""

    def __init__(self, regularizers: dict[str, Any]) -> None:
        self.iterations, self.names = 0, list(regularizers)
        turns = [Turn(("discriminator",)), *([Turn(("discriminator",), every=2)] if "r1" in regularizers else [])]
        self.module = SimpleNamespace(game=SimpleNamespace(all_turns=lambda: turns), device=torch.device("cpu"))

    def iterate(self) -> float:
        self.iterations += 1
        lazy = {"r1": 2 * (self.iterations % 2)}
        return 2 + sum(COSTS[name] * lazy.get(name, 1) for name in self.names)

    seconds = iterate


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regularizer_cost, "_engine", lambda config, regularizers: Timed(regularizers))


def ratios(options: list[str], names: list[str], together: bool, iterations: int = 3) -> dict[str, float]:
    read = compose.read([*TINY, *options])
    result = regularizer_cost.measure(read, names, together=together, warmup=1, iterations=iterations, repeats=2)
    assert result["iterations_measured"] == 2 * (iterations + iterations % 2 if "r1" in names else iterations)
    for found in result["regularizers"].values():
        assert found["share"] == pytest.approx(1 - found["seconds_without"] / found["seconds_with"])
    return {name: found["ratio"] for name, found in result["regularizers"].items()}


def test_each_alone_is_put_into_the_run_that_has_none_of_them(timed: None) -> None:
    found = ratios(["reg=[sn,drift,r1]"], ["sn", "drift", "r1"], together=False)
    assert found == pytest.approx({"sn": 3 / 2, "drift": 2.25 / 2, "r1": 4 / 2})


def test_a_regularizer_that_comes_with_the_loss_stays_in_both_runs(timed: None) -> None:
    assert ratios(["loss=wgan_gp", "reg=[sn]"], ["sn"], together=False) == pytest.approx({"sn": 7 / 6})


def test_those_of_one_run_are_left_out_one_by_one(timed: None) -> None:
    found = ratios(["reg=[sn,drift,r1]"], ["sn", "drift", "r1"], together=True)
    assert found == pytest.approx({"sn": 5.25 / 4.25, "drift": 5.25 / 5, "r1": 5.25 / 3.25})


def test_the_command_prints_a_table_and_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["reg=none,drift,r1", "reg.r1.gamma=5", "warmup=1", "iterations=1", "repeats=2"]
    assert cli.dispatch(["bench", *TINY, *options]) == 0
    *table, last = capsys.readouterr().out.strip().splitlines()
    found = json.loads(last)["regularizers"]
    assert list(found) == ["drift", "r1"]
    row = next(line.split() for line in table if line.startswith("r1"))
    assert row[-2:] == [f"{100 * found['r1']['share']:.1f}", "%"]
    assert row[3:7] == [
        f"{found['r1']['ratio']:.3f}",
        f"({found['r1']['smallest_ratio']:.3f}",
        "to",
        f"{found['r1']['largest_ratio']:.3f})",
    ]
    assert cli.dispatch(["bench", *TINY, "reg=[drift]", "compare=reg", *options[2:]]) == 0
    assert "the run without one of reg drift" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["reg=drift,r1", "compare=plain"], "ask for one of them at a time"),
        (["reg=[drift,r1],sn"], "compares single regularizers"),
        (["reg=drift,r9"], "r9"),
        (["compare=reg"], "There is no regularizer to compare: name some, as reg=sn,r1"),
        (["reg=none,none"], "There is no regularizer to compare: name some, as reg=sn,r1"),
        (["reg=drift,lipschitz_consistency"], "needs dropout .* reg=.drift,lipschitz_consistency. compare=reg"),
        (["loss=hinge,minimax"], "several values"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(options: list[str], words: str) -> None:
    with pytest.raises(GanlabError, match=words):
        cli.dispatch(["bench", *TINY, *options])


def test_a_regularizer_that_others_need_is_reported_and_not_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["loss=ct_gan", "compare=reg", "warmup=0", "iterations=1", "repeats=1"]
    assert cli.dispatch(["bench", *TINY, *options]) == 0
    *table, last = capsys.readouterr().out.strip().splitlines()
    assert set(json.loads(last)["regularizers"]) == {"gradient_penalty", "lipschitz_consistency"}
    assert "cannot be left out: reg=lipschitz_consistency needs dropout in the discriminator" in table[-1]


@pytest.mark.parametrize("options", [[], ["reg=drift,sn"]])
def test_a_game_without_discriminator_and_loss_is_measured(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    game = ["game=introvae", "model=mlp", "encoder=mlp", "data.batch_size=4", "warmup=0", "iterations=1", "repeats=1"]
    assert cli.dispatch(["bench", *game, *options]) == 0
    assert "mlp against mlp, loss none, " in capsys.readouterr().out
