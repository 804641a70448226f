"""Runs that fail in earnest, from the command line to their end: what `stop` and `rollback` make of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.runs import TINY, Start

from ganlab.runs.guard.events import events

LOOKS = ("guard.every_steps=10", "trainer.log_every_n_steps=10", "checkpoint.every_steps=20", "run.dir=run")
PLAYERS = ("generator", "discriminator")
RATES = ("optimizer.generator.lr=0.1", "optimizer.discriminator.lr=0.1")
UNCONSTRAINED = ("loss=wasserstein", "data.batch_size=16", "trainer.max_steps=400")  # of the default networks


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "signs", "latest"),
    [
        ((*TINY, *RATES), {"collapse", "frozen", "explosion"}, 100),
        ((*TINY, "optimizer.generator.lr=0"), {"frozen"}, 20),
        (UNCONSTRAINED, {"unbounded"}, 10),
        ((*UNCONSTRAINED, "guard.unbounded=null"), {"explosion"}, 300),
        (tuple(f"optimizer.{player}.betas=[0.99,0.999]" for player in PLAYERS), {"overshoot"}, 150),
    ],
    ids=["rates of 0.1", "a frozen generator", "an unconstrained critic", "one that grows", "a momentum of 0.99"],
)
def test_a_failing_run_is_stopped_with_exit_code_three(
    words: tuple[str, ...], signs: set[str], latest: int, command: Start, tmp_path: Path
) -> None:
    code, _, error = command("train", *words, *LOOKS, "guard=stop").end(300)
    assert code == 3, error
    assert error.startswith("ganlab: The guard has ended the run after iteration ")
    assert len(error.splitlines()) == 1
    (event,) = events(tmp_path / "run")
    assert event.sign in signs
    assert event.action == "stop"
    assert event.noticed <= latest


@pytest.mark.slow
def test_a_game_that_goes_around_is_seen(command: Start, tmp_path: Path) -> None:
    """The generator's points, all alike, run around the ring; each player answers what the other one was."""
    of_both = [(f"optimizer.{player}.lr=1e-3", f"optimizer.{player}.betas=[0.9,0.99]") for player in PLAYERS]
    words = ("data=ring", "model=mlp", "loss=wasserstein", "reg=weight_clipping", "game.update=simultaneous")
    sizes = (
        "generator.latent_dim=64",
        *(f"{player}.{size}" for player in PLAYERS for size in ("width=256", "depth=3")),
    )
    code, _, error = command("train", *words, *sizes, *sum(of_both, ()), *LOOKS, "trainer.max_steps=600").end(400)
    assert code == 0, error
    assert "cycle" in [event.sign for event in events(tmp_path / "run")]


@pytest.mark.slow
def test_lower_rates_let_a_run_that_goes_back_come_to_its_end(command: Start, tmp_path: Path) -> None:
    words = (*TINY, *RATES, *LOOKS, "guard=rollback", "guard.rates=0.003", "trainer.max_steps=200")
    code, said, error = command("train", *words).end(300)
    assert code == 0, error
    (event,) = events(tmp_path / "run")
    assert event.action == "rollback"
    assert event.noticed <= 100
    assert f"The run goes on from iteration {event.iteration} with other data and latents." in said
    last = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert last["iteration"] == 200
    assert last["guard/images/diversity"] > 0.3


@pytest.mark.slow
def test_what_other_draws_do_not_repair_ends_after_its_rollbacks(command: Start, tmp_path: Path) -> None:
    code, _, error = command("train", *TINY, *LOOKS, "guard=rollback", "optimizer.generator.lr=0").end(300)
    assert code == 3, error
    assert "after 2 rollbacks, frozen since 10" in error
    assert [event.action for event in events(tmp_path / "run")] == ["rollback", "rollback", "stop"]
