"""Lightning's options: what is ganlab's is refused with ganlab's key, the others pass."""

import inspect
from typing import Any

import lightning as L
import pytest
import torch
from support.runs import Train, state

from ganlab.core.errors import GanlabError
from ganlab.runs import trainer
from ganlab.runs.checkpoints import AtomicCheckpointIO


def refusal(**options: Any) -> str:
    with pytest.raises(GanlabError) as caught:
        trainer.make({"accelerator": "cpu", **options}, [], [], AtomicCheckpointIO())
    return str(caught.value)


@pytest.mark.parametrize("name", trainer.OWNED)
def test_an_option_that_ganlab_owns_is_refused_with_the_key_that_does_it(name: str) -> None:
    assert refusal(**{name: 1}) == f"trainer.{name} is ganlab's own business: use {trainer.OWNED[name]}."


def test_every_owned_option_is_one_of_lightnings() -> None:
    assert set(trainer.OWNED) <= set(inspect.signature(L.Trainer).parameters)


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    assert "no option 'max_stepz'. Did you mean 'max_steps'" in refusal(max_stepz=3)


def test_all_problems_are_reported_at_once() -> None:
    sentence = refusal(strategy="ddp", foo=1, precision="16-mixed", max_steps="x")
    assert all(
        part in sentence
        for part in ("trainer.strategy", "'foo'", "trainer.precision=16-mixed", "trainer.max_steps must")
    )


@pytest.mark.parametrize("precision", ["16-mixed", 16, "16-true", "bf16-true", "transformer-engine", "8"])
def test_a_precision_that_is_not_tested_is_refused(precision: int | str) -> None:
    assert f"trainer.precision={precision} is not supported" in refusal(precision=precision)


@pytest.mark.parametrize("precision", ["32-true", "32", 32, "64-true", 64, "bf16-mixed", None])
def test_a_precision_that_is_tested_passes(precision: int | str | None) -> None:
    trainer.make({"accelerator": "cpu", "precision": precision}, [], [], AtomicCheckpointIO())


def test_bf16_trains_with_weights_of_32_bits(train: Train) -> None:
    weights = state(train("trainer.precision=bf16-mixed", "loss=wgan_gp", steps=2))["state_dict"]
    assert all(t.dtype is torch.float32 and torch.isfinite(t).all() for t in weights.values() if t.is_floating_point())


def test_float64_trains_with_weights_of_64_bits(train: Train) -> None:
    weights = state(train("trainer.precision=64-true", steps=1))["state_dict"]
    assert weights["game.generator.linear.weight"].dtype is torch.float64


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"devices": 64, "accelerator": "gpu"}, "torch sees no GPU|has . GPU"),
        ({"devices": 64, "accelerator": "auto"}, "trainer.devices=64, but this machine has"),
        ({"devices": 0}, "trainer.devices must be a number of devices"),
        ({"devices": "two"}, "trainer.devices must be a number of devices"),
        ({"devices": -2}, "trainer.devices must be a number of devices"),
        ({"accelerator": "abacus"}, "^trainer: "),
        ({"log_every_n_steps": 0}, "trainer.log_every_n_steps must be a whole number of at least 1, got 0"),
        ({"num_nodes": 0}, "trainer.num_nodes must be a whole number of at least 1"),
        ({"max_steps": -2}, "trainer.max_steps must be a whole number of at least -1"),
        ({"max_steps": True}, "trainer.max_steps must be"),
        ({"max_time": "soon"}, "^trainer: "),
    ],
)
def test_what_this_machine_or_lightning_cannot_do_is_refused(options: dict[str, Any], words: str) -> None:
    import re

    assert re.search(words, refusal(**options))


def test_more_processes_than_cores_are_tried_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's line for eight GPUs can be tried on a machine of two cores."""
    monkeypatch.setattr(trainer.os, "cpu_count", lambda: 2)
    said = {}
    for devices in (1, 2, 8):
        options = {"devices": devices, "accelerator": "cpu", "precision": "32-true", "num_nodes": 1}
        said[devices] = trainer.crowding(trainer.make(options, [], [], AtomicCheckpointIO()))
    assert said[1] == said[2] == []
    assert said[8] == ["note: 8 processes share 2 cores: good for a trial, but slower than trainer.devices=2."]
    assert "has 2 cores: take trainer.devices=2, or at most 16" in refusal(devices=17, accelerator="cpu")


@pytest.mark.parametrize(
    "options",
    [
        {"deterministic": True},
        {"benchmark": False},
        {"max_time": "00:01:00:00"},
        {"min_steps": 3},
        {"detect_anomaly": False},
        {"limit_train_batches": 5},
        {"num_sanity_val_steps": 0},
        {"inference_mode": True},
        {"profiler": "simple"},
    ],
)
def test_other_options_of_lightnings_pass(options: dict[str, Any]) -> None:
    (name, value), made = (
        *options.items(),
        trainer.make({"accelerator": "cpu", **options}, [], [], AtomicCheckpointIO()),
    )
    if name in ("min_steps", "limit_train_batches", "num_sanity_val_steps"):
        assert getattr(made, name) == value


def test_limited_epochs_do_not_repeat_images(train: Train) -> None:
    """Lightning then starts the endless loader again, which continues at the run's progress."""
    from support.runs import assert_bit_equal

    whole, limited = train(name="whole", steps=5), train("trainer.limit_train_batches=2", name="limited", steps=5)
    assert_bit_equal(state(limited)["state_dict"], state(whole)["state_dict"])


def test_max_time_ends_a_run_in_good_order(train: Train) -> None:
    folder = train("trainer.max_time=00:00:00:01", steps=1_000_000)
    stored = state(folder)
    assert 0 < stored["ganlab"]["progress"]["iteration"] < 1_000_000
    assert stored["global_step"] == stored["ganlab"]["progress"]["iteration"]
