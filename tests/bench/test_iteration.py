"""The output of the benchmark, not the speed of anything."""

from __future__ import annotations

import json

import pytest

from ganlab import cli
from ganlab.bench import iteration
from ganlab.config import compose
from ganlab.core.errors import GanlabError

TINY = ["model=dcgan", "generator.width=4", "discriminator.width=4", "data.batch_size=4"]
SHORT = iteration.Settings(warmup=1, iterations=2, repeats=2)


@pytest.mark.parametrize(
    "options",
    [[], ["reg=sn"], ["loss=wasserstein", "game.discriminator_steps=2", "data.num_classes=0"]],
    ids=["plain", "sn", "unconditional"],
)
def test_a_hand_written_loop_ends_with_ganlabs_weights(options: list[str]) -> None:
    settings = iteration.Settings(warmup=1, iterations=2, repeats=2, compare="plain")
    result = iteration.run(compose.read([*TINY, *options]), settings)
    assert result["plain"]["weights_differ_by"] <= 1e-5
    assert result["plain"]["seconds_per_iteration"] > 0


def test_the_last_line_is_json_with_what_the_table_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.dispatch(["bench", *TINY, "warmup=1", "iterations=2", "repeats=1"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    result = json.loads(lines[-1])
    assert sum(result["shares"].values()) == pytest.approx(1)
    assert {"data", "generator forward", "discriminator forward", "backward", "optimizer", "EMA"} <= set(
        result["shares"]
    )
    assert result["images_per_second"] == pytest.approx(4 / result["seconds_per_iteration"])
    assert f"parameters of generator      {result['parameters']['generator']:,}" in lines


def test_images_are_those_that_the_discriminator_consumed() -> None:
    result = iteration.run(compose.read([*TINY, "game.discriminator_steps=3"]), SHORT)
    assert result["images_per_second"] == pytest.approx(3 * 4 / result["seconds_per_iteration"])


def test_parts_are_exclusive_when_they_are_nested(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    clock = iter([0.0, 1.0, 6.0, 8.0])  # begin of outer and inner, end of inner and outer
    monkeypatch.setattr(iteration.time, "perf_counter", lambda: next(clock))
    parts = iteration.Parts(torch.device("cpu"))
    with parts("outer"), parts("inner"):
        pass
    assert parts.seconds == {"outer": 3.0, "inner": 5.0}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["compare=plain", "loss=wgan_gp"], "leave out regularizers"),
        (["compare=plain", "accumulate=2"], "accumulate=1"),
        (["compare=fancy"], "compare must be one of plain, reg or null"),
        (["repeats=0"], r"repeats must be in \[1, 100000\]"),
        (["warmup=many"], "warmup must be a whole number"),
        (["somewhere"], "takes options only"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(options: list[str], words: str) -> None:
    with pytest.raises(GanlabError, match=words):
        cli.dispatch(["bench", *TINY, *options])
