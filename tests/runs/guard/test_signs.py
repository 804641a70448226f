"""Signs: each on a history that has it, on the traces of real runs, and none on those of healthy ones.

Traces are the numbers of every 50th iteration (null: not measured); docs/guard.md says of which runs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from ganlab.config.sections import GuardOptions
from ganlab.runs.guard import signs
from ganlab.runs.guard.history import EARLY, LENGTH, History
from ganlab.runs.guard.signs import Sign

TRACES = json.loads((Path(__file__).parents[2] / "fixtures" / "guard_traces.json").read_text())
EVERY = 50
Numbers = Mapping[str, Sequence[Any]]


def seen(numbers: Numbers, limits: GuardOptions = GuardOptions()) -> list[tuple[int, Sign]]:  # noqa: B008
    """Return the sure signs of measurements each 50 iterations, and when each was first seen."""
    history, found, names = History(), [], set()
    for at in range(len(next(iter(numbers.values())))):
        now = {name: float(values[at]) for name, values in numbers.items() if values[at] is not None}
        history.add(EVERY * (at + 1), now)
        for sign in signs.found(history, limits):
            if sign.sure and sign.name not in names:
                names.add(sign.name)
                found.append((EVERY * (at + 1), sign))
    return found


def moving(count: int, player: str = "generator") -> dict[str, Sequence[float]]:
    return {f"guard/{player}/step": [0.1] * count, f"guard/{player}/weights": [10.0] * count}


CASES: dict[str, tuple[Numbers, str, int, int]] = {  # numbers, then name, when it is seen, when it began
    "a number that is none": ({"generator/adversarial": [1, 1, math.nan]}, "not_finite", 150, 150),
    "an infinite one": ({"guard/generator/moments": [1, math.inf]}, "not_finite", 100, 100),
    "a loss beyond float32": ({"discriminator/r1": [2e6]}, "explosion", 50, 50),
    "logits a hundred times as large": (
        {"discriminator/real_logits": [2, 2, 2, 2, 2, 2, 250, -250]}, "explosion", 400, 350),
    "moments that grow sixtyfold in 100 iterations": (
        {"guard/generator/moments": [5, 60, 300, 400]}, "explosion", 200, 51),
    "moments that grow sixtyfold in 200 iterations": (
        {"guard/generator/moments": [50, 6, 20, 60, 360, 400]}, "explosion", 300, 101),
    "logits that nothing bounds": ({"guard/discriminator/doubled": [8.0]}, "unbounded", 50, 50),
    "steps that go on as before whatever the gradient": (
        {"guard/generator/descent": [0.2, 0.9, 0.5, 0.3], "guard/generator/turn": [0.1, 0.01, 0.01, 0.01]},
        "overshoot", 200, 150),
    "a step as large as the weights": (
        {"guard/generator/step": [0.1, 9.5], "guard/generator/weights": [10, 10]}, "explosion", 100, 100),
    "two steps of a third of the weights": (
        {"guard/generator/step": [0.1, 4, 4], "guard/generator/weights": [10, 10, 10]}, "explosion", 150, 100),
    "weights that stand still": (
        {"guard/generator/step": [0.1, 0, 0], "guard/generator/weights": [10, 10, 10]}, "frozen", 150, 100),
    "images without differences": ({"guard/images/diversity": [1e-7, 1e-7]}, "collapse", 100, 50),
    "images that have lost them": ({"guard/images/diversity": [0.8, 0.9, 0.5, 0.2, 0.1]}, "collapse", 250, 150),
    "images that have lost nearly all of them": ({"guard/images/diversity": [0.8, 0.9, 0.08]}, "collapse", 150, 150),
    "images of a class that have": ({"guard/images/class_diversity": [0.8, 0.9, 0.2, 0.2]}, "collapse", 200, 150),
    "classes that have died": ({"guard/labels/fakes": [0.2, 0.8, 0.9, 0.9, 0.3, 0.3, 0.3, 0.3]}, "classes", 400, 250),
    "classes without images": ({"guard/labels/alive": [0.1]}, "data", 50, 50),
    "batches of one class": ({"guard/labels/classes": [1, 0.1, 0.1]}, "data", 150, 100),
    "labels in another order": ({"guard/labels/evidence": [-0.5]}, "data", 50, 50),
    "a discriminator that has won": (
        {"discriminator/adversarial": [2, 1, 1, 1, 1, *[0.001] * 5],
         "guard/generator/gradient": [3, 2, 2, 2, 2, *[0.001] * 5]}, "won", 450, 300),
    "a jump of its loss": (
        {"discriminator/adversarial": [2, 1.5, 1, 0.8, *[0.05] * 14, 1.5, 1.6]}, "jump", 1000, 950),
    "images that go around": (
        {"guard/images/recurrence": [*[0.9] * 32, *[0.1] * 8], "guard/images/swing": [0.9] * 40}, "cycle", 2000, 1650),
    "a score that has risen": ({"evaluation/fid": [40, 20, 15, 45]}, "score", 200, 200),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_sign_is_seen_when_it_lasts_and_its_beginning_is_known(case: str) -> None:
    numbers, name, when, began = CASES[case]
    found = seen(numbers)
    assert [(at, sign.name, sign.began) for at, sign in found] == [(when, name, began)]
    assert found[0][1].quantity in numbers
    assert found[0][1].sentence.endswith(".")
    assert "{" not in found[0][1].sentence


@pytest.mark.parametrize(
    "numbers",
    [
        {"discriminator/real_logits": [2, 2, 2, 2, 2, 2, 250, 2, 250, 2]},
        {"guard/generator/moments": [5, 15, 30, 60, 120, 240]},
        {"guard/generator/moments": [2, 4, 8, 16, 32, 64, 128, 256, 512]},  # sixty-fourfold in 300 iterations
        {"guard/generator/moments": [0.01, 0.02, 3, 40, 40]},  # a thousandfold, from less than 1
        {"guard/generator/moments": [5, 400, 6, 400, 6]},
        {"guard/discriminator/moments": [0.7, 18.2, 17.8, 17.2, 17.2, 16.6]},  # digits_introvae
        {"guard/discriminator/moments": [2.7, 5.8, 6.3, 2.2, 2.8, 9.1, 25.9, 29.5, 201, 72, 60.9, 17.5]},  # digits_meg
        {"guard/generator/descent": [0.3, 0.3, 0.3], "guard/generator/turn": [0.01, 0.02, 0.01]},
        {"guard/generator/descent": [0.8, 0.5, 0.8, 0.5], "guard/generator/turn": [0.001] * 4},
        {"guard/generator/descent": [0.1] * 4},
        {"guard/images/diversity": [0.05, 0.1, 0.9, 0.3, 0.8]},
        {"guard/labels/fakes": [0.12, 0.04, 0.04, 0.04, 0.04, 0.04]},
        {"discriminator/adversarial": [2, 1, 1, 1, *[0.001] * 9]},
        {"guard/images/recurrence": [0.1] * 40, "guard/images/swing": [0.1] * 40},
        {"evaluation/fid": [40, 20, 30, 39]},
        moving(10),
    ],
)
def test_one_value_alone_or_a_slow_change_is_no_sign(numbers: Numbers) -> None:
    assert seen(numbers) == []


def test_a_fall_is_suspected_before_it_is_sure() -> None:
    history = History()
    for at, value in enumerate((0.9, 0.9, 0.5)):
        history.add(EVERY * (at + 1), {"guard/images/diversity": value})
    assert [(s.name, s.began, s.sure) for s in signs.found(history, GuardOptions())] == [("collapse", 150, False)]


def test_a_sign_without_a_threshold_is_not_looked_for() -> None:
    nothing: dict[str, Any] = {field.name: None for field in fields(GuardOptions) if "None" in str(field.type)}
    assert {"collapse", "explosion", "score"} <= set(nothing)
    none = GuardOptions(**nothing)
    for numbers, name, *_ in CASES.values():
        if name not in ("not_finite", "frozen", "data"):
            assert seen(numbers, none) == [], name


def test_a_history_is_bounded_keeps_its_first_numbers_and_is_data() -> None:
    history = History()
    for at in range(1000):
        history.add(at, {"a": at})
    assert len(history["a"]) == EARLY + LENGTH
    assert history["a"][EARLY - 1] == (EARLY - 1, EARLY - 1)
    assert history["a"][-1] == (999, 999)
    other = History()
    other.load_state_dict(json.loads(json.dumps(history.state_dict())))
    assert other.state_dict() == history.state_dict()
    other.load_state_dict({"a": [[1, "x"]], 3: [], "b": "c", "d": [[1, 2.0]]})
    assert other.state_dict() == {"d": [[1, 2.0]]}


@pytest.mark.parametrize("name", TRACES["healthy"])
def test_no_sign_in_the_trace_of_a_healthy_run(name: str) -> None:
    assert seen(TRACES["healthy"][name]) == []


@pytest.mark.parametrize("name", TRACES["failing"])
def test_the_trace_of_a_failing_run_has_its_sign_in_time(name: str) -> None:
    """The first entry of a trace is the first iteration whose numbers leave the range of a healthy run's beginning."""
    trace = TRACES["failing"][name]
    at, sign = seen(trace["numbers"])[0]
    # a run without a constraint is seen by `unbounded` at its first look now, which these traces do not have
    assert at <= trace["outside"] + (150 if name.startswith("wasserstein") else 100)
    assert sign.name == trace["sign"]
