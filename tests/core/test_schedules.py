"""Schedules against their closed forms: pure functions of images seen."""

import math
from typing import Any

import pytest
from support.runs import Train

from ganlab.core import schedules


def value(images: float, per_step: int = 10, **keys: Any) -> float:
    return schedules.parse({k.rstrip("_"): v for k, v in keys.items()}, per_step)(images)


def test_before_the_start_it_is_the_first_value_and_after_the_end_the_last() -> None:
    keys: dict[str, Any] = {"from_": 3.0, "to": 1.0, "start_kimg": 1, "end_kimg": 2}
    assert [value(i, **keys) for i in (0, 1000, 2000, 9999)] == [3.0, 3.0, 1.0, 1.0]


@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_the_shapes_are_their_formulas(t: float) -> None:
    """linear a + t (b - a); cosine b + (a - b) (1 + cos pi t) / 2; exponential a (b / a)^t."""
    a, b = 2e-4, 5e-6
    keys: dict[str, Any] = {"from_": a, "to": b, "start_kimg": 1, "end_kimg": 5}
    images = 1000 + 4000 * t
    assert value(images, **keys) == pytest.approx(a + t * (b - a))
    assert value(images, shape="cosine", **keys) == pytest.approx(b + (a - b) * (1 + math.cos(math.pi * t)) / 2)
    assert value(images, shape="exponential", **keys) == pytest.approx(a * (b / a) ** t)


def test_steps_are_iterations_of_so_many_images() -> None:
    keys: dict[str, Any] = {"from_": 0.0, "to": 1.0, "start_steps": 2, "end_steps": 6}
    assert value(2 * 24, per_step=24, **keys) == 0
    assert value(4 * 24, per_step=24, **keys) == pytest.approx(0.5)
    assert value(6 * 24, per_step=24, **keys) == 1


def test_a_schedule_that_ends_where_it_starts_is_a_step() -> None:
    keys: dict[str, Any] = {"from_": 1.0, "to": 2.0, "start_kimg": 1, "end_kimg": 1}
    assert (value(999, **keys), value(1000, **keys)) == (1.0, 2.0)


def test_the_end_is_exact() -> None:
    """A learning rate that is to end at 0 ends at 0."""
    assert value(1000, from_=0.1, to=0, end_kimg=1) == 0
    assert value(0, from_=0.1, to=0.3, end_kimg=1) == 0.1


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"from": 1}, "needs both 'from' and 'to'"),
        ({"from": 1, "to": 2}, "needs either 'end_kimg' or 'end_steps'"),
        ({"from": 1, "to": 2, "end_kimg": 1, "end_steps": 3}, "needs either"),
        ({"from": 1, "to": 2, "end_kimg": 1, "start_kimg": 0, "start_steps": 0}, "not both"),
        ({"from": 1, "to": 2, "end_kimg": 1, "start_kimg": 2}, "must end after it starts"),
        ({"from": 0, "to": 2, "end_kimg": 1, "shape": "exponential"}, "positive"),
        ({"from": 1, "to": 2, "end_kimg": 1, "shape": "cosin"}, "cosine"),
        ({"from": "a", "to": 2, "end_kimg": 1}, "'from' must be a finite number"),
        ({"from": True, "to": 2, "end_kimg": 1}, "'from' must be a finite number"),
        ({"from": 1, "to": 2, "end_kimg": math.nan}, "'end_kimg' must be a finite number"),
        ({"from": 1, "to": 2, "end": 1}, "has no 'end'"),
    ],
)
def test_a_schedule_that_contradicts_itself_is_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        schedules.parse(keys, 1)


def test_what_a_schedule_is_is_seen_from_its_keys() -> None:
    assert schedules.is_schedule({"from": 1})
    assert not schedules.is_schedule({"a": 1})
    assert not schedules.is_schedule(3)


def test_a_learning_rate_follows_its_schedule_in_training(train: Train) -> None:
    """Iteration i uses the rate at the images seen before it; the end is reached after 4 iterations of 8 images."""
    from support.runs import metrics

    folder = train("optimizer.generator.lr={from:1e-3,to:0,end_steps:4}", steps=6)
    rates = [line["generator/learning_rate"] for line in metrics(folder)]
    assert rates == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4, 0, 0])
    assert {line["discriminator/learning_rate"] for line in metrics(folder)} == {2e-4}


def test_a_list_of_numbers_may_have_schedules_in_it() -> None:
    made = schedules.parse_all([0.0, {"from": 0.9, "to": 0.99, "end_steps": 10}], 2)
    assert (made.start_value, made.end_value) == ((0.0, 0.9), (0.0, 0.99))
    assert made(10) == pytest.approx((0.0, 0.945))


def test_betas_and_the_average_follow_their_schedules() -> None:
    """With a lazy turn every 3 iterations Adam's are lr·c and beta^c, c = 3/4."""
    from ganlab.assembly import experiment
    from ganlab.config import compose

    betas = "[0.5,{from:0.9,to:0.5,end_kimg:1}]"
    words = [
        f"optimizer.discriminator.betas={betas}",
        "ema.half_life_kimg={from:0,to:4,end_kimg:1}",
        "ema.ramp_up=null",
    ]
    module = experiment.build(compose.read([*words, "reg=r1", "reg.r1.interval_steps=3"])).module
    module.begin()
    for shown, share in ((0, 0.0), (500, 0.5), (5000, 1.0)):
        module.player_optimizers.follow(shown, {})
        (group,) = module.player_optimizers.by_player["discriminator"].param_groups
        assert group["betas"] == pytest.approx((0.5**0.75, (0.9 - 0.4 * share) ** 0.75))
        for scheduled in module.training_options.scheduled:
            scheduled.follow(shown)
        assert module.average.half_life_kimg == pytest.approx(4 * share)
