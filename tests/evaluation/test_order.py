"""The purpose of every score: it separates a trained generator from an untrained one, and real images from both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ganlab.config import compose
from ganlab.evaluation.protocol import preset
from ganlab.runs import scoring, session

# numbers with a direction that the three need not follow, and why
UNORDERED = {
    "authenticity": "says whether images are copies: 1 or anything else for images far from all data",
    "copies": "says whether images are copies: 0 for images far from all data",
    "d_gap": "is of the run's discriminator: real images have none",
}
# numbers whose best value a generator may reach early: an even spread over classes is soon learned
EARLY = {
    "h_y": "the entropy of the predicted classes ends at log K",
    "spectrum_high": "at the highest frequencies two sets of 224 real digits differ by half a decibel themselves",
}


def badness(value: dict[str, Any]) -> tuple[float, float]:
    """The interval of a number, turned so that lower is better; a point where it has none."""
    low, high = (value[end] if value[end] is not None else value["value"] for end in ("low", "high"))
    if value["better"] == "higher":
        return -high, -low
    if value["better"] == "real":
        ends = abs(low - value["real"]), abs(high - value["real"])
        return 0.0 if low <= value["real"] <= high else min(ends), max(ends)
    return low, high


@pytest.mark.slow
def test_on_the_digits_every_metric_puts_a_short_run_between_an_untrained_one_and_held_out_real_images(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default job, after 1 iteration and after 100 (of its 1,000), and the validation split, as many images each
    against the test split: no two intervals of 95 % overlap."""
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path_factory.getbasetemp() / "evaluation-cache"))
    protocol = preset("digits")
    protocol = protocol.changed({"metrics": [*protocol.metrics, "fid_infinity"]})

    def scored(name: str, steps: int, real: bool) -> list[dict[str, Any]]:
        words = (f"trainer.max_steps={steps}", f"run.dir={tmp_path / name}", "trainer.accelerator=cpu")
        folder = session.start(compose.read([*words, "sample.every_steps=1000"])).folder
        return [record["values"] for record in scoring.evaluate_run(folder, protocol, with_real=real)]

    (untrained,) = scored("untrained", 1, False)
    trained, real = scored("trained", 100, True)
    directed = {name for name, value in trained.items() if value["better"] != "none"}
    assert set(UNORDERED) | set(EARLY) <= directed
    wrong = []
    for name in sorted(directed - set(UNORDERED)):
        last, short, first = (badness(values[name]) for values in (real, trained, untrained))
        if name not in EARLY and not last[1] < short[0]:
            wrong.append(f"{name}: held-out real images {real[name]} against a short run {trained[name]}")
        if not short[1] < first[0]:
            wrong.append(f"{name}: a short run {trained[name]} against an untrained one {untrained[name]}")
    assert not wrong, "\n".join(wrong)
