"""The quantities of the guard: closed forms of linear networks, planted images and labels."""

from __future__ import annotations

import math

import pytest
import torch
from support.instruments import Network, Parts, subject
from torch import Tensor, nn

from ganlab.contracts.instrument import Step, Subject
from ganlab.contracts.setting import Setting
from ganlab.priors import Normal
from ganlab.runs.guard.gauges import Gauges
from ganlab.runs.guard.reading import Reading, pairs, small


def linear(weight: list[list[float]]) -> Network:
    made = Network(nn.Linear(len(weight[0]), len(weight), bias=False), latent_dim=len(weight[0]))
    made.layers[0].weight.data = torch.tensor(weight)
    return made


def gauges(weight: list[list[float]], reals: Tensor | None = None) -> Gauges:
    splits = {} if reals is None else {"train": reals}
    return Gauges(subject(Parts(generator=linear(weight)), splits), 64, lambda: None)


def test_norms_of_a_step_are_those_of_what_moved() -> None:
    gauge = gauges([[3.0, 4.0]])
    parameters = list(gauge.subject.generator.parameters())
    parameters[0].grad = torch.tensor([[6.0, 8.0]])
    with gauge.observe(Step("generator", parameters)):
        parameters[0].data += torch.tensor([[0.0, 8.0]])
    moments = {"generator": [torch.tensor([1.0, -5.0]), torch.tensor([2.0])], "discriminator": []}
    found = gauge.measure(moments)
    assert {name: value.item() for name, value in found.items()} == {
        "guard/generator/gradient": 10.0,
        "guard/generator/step": 8.0,
        "guard/generator/descent": -1.0,
        "guard/generator/weights": pytest.approx(math.hypot(3, 12)),
        "guard/generator/moments": 5.0,
    }


def test_descent_is_the_share_of_a_step_that_goes_down_and_turn_its_angle_to_the_step_before() -> None:
    """The gradient is (6, 8): (-2, 1) goes 12 down and 8 up, of 20, at right angles to (1, 2), the step before."""
    gauge = gauges([[3.0, 4.0]])
    parameters = list(gauge.subject.generator.parameters())
    for step, around in (([1.0, 2.0], gauge.keep), ([-2.0, 1.0], gauge.observe), ([-4.0, 2.0], gauge.observe)):
        parameters[0].grad = torch.tensor([[6.0, 8.0]])
        with around(Step("generator", parameters)):
            parameters[0].data += torch.tensor([step])
        if step[0] == -2:
            found = gauge.measure({})
    assert found["guard/generator/descent"].item() == pytest.approx((12 - 8) / 20)
    assert found["guard/generator/turn"].item() == pytest.approx(1)
    assert gauge.measure({})["guard/generator/turn"].item() == pytest.approx(0, abs=1e-6)


def test_a_step_that_is_none_turns_and_has_nothing_to_go_down() -> None:
    gauge = gauges([[3.0, 4.0]])
    parameters = list(gauge.subject.generator.parameters())
    for _ in range(2):
        parameters[0].grad = torch.zeros(1, 2)
        with gauge.observe(Step("generator", parameters)):
            pass
    found = gauge.measure({})
    assert found["guard/generator/descent"].item() == 1
    assert found["guard/generator/turn"].item() == 1


def test_a_step_without_a_gradient_does_not_go_down() -> None:
    gauge = gauges([[3.0, 4.0]])
    parameters = list(gauge.subject.generator.parameters())
    parameters[0].grad = torch.zeros(1, 2)
    with gauge.observe(Step("generator", parameters)):
        parameters[0].data += 1
    assert gauge.measure({})["guard/generator/descent"].item() == 0


def test_diversity_is_relative_to_real_images_and_zero_where_all_are_alike() -> None:
    z = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    one = gauges([[1.0, 0.0], [0.0, 1.0]], 3 * z).measure({})["guard/images/diversity"]
    half = gauges([[0.5, 0.0], [0.0, 0.5]], 3 * z).measure({})["guard/images/diversity"]
    assert half.item() == pytest.approx(one.item() / 2, rel=1e-5)
    assert gauges([[0.0, 0.0], [0.0, 0.0]], z).measure({})["guard/images/diversity"].item() == 0


def test_a_mean_image_that_comes_back_has_no_distance_and_its_way_is_the_swing() -> None:
    reals = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    gauge = gauges([[0.0, 0.0], [0.0, 0.0]], reals)
    for _ in range(5):
        gauge.measure({})
    gauge.means = [torch.tensor([x, 0.0]) for x in (0.0, 3.0, 4.0, 3.0)]
    found = gauge.measure({})
    assert found["guard/images/recurrence"].item() == 0
    assert found["guard/images/swing"].item() == pytest.approx(4 / 2)


def test_a_mean_image_that_has_gone_far_and_stands_still_has_not_come_back() -> None:
    gauge = gauges([[0.0, 0.0], [0.0, 0.0]], torch.tensor([[0.0, 0.0], [2.0, 0.0]]))
    gauge.measure({})
    gauge.means = [torch.tensor([x, 0.0]) for x in (3.0, *[0.0] * 6)]
    found = gauge.measure({})
    assert found["guard/images/swing"].item() == pytest.approx(3 / 2)
    assert found["guard/images/recurrence"].item() == 1


def test_small_images_are_means_of_boxes_and_other_points_are_as_they_are() -> None:
    image = torch.arange(256.0).view(1, 1, 16, 16)
    assert small(image)[0, 0].item() == image[0, 0, :2, :2].mean().item()
    assert small(image).shape == (1, 64)
    assert small(torch.ones(3, 1, 4, 4)).shape == (3, 16)
    assert small(torch.ones(3, 2)).shape == (3, 2)


def test_distances_of_pairs_over_all_and_within_labels() -> None:
    x = torch.tensor([[0.0], [1.0], [10.0]])
    assert pairs(x, None).item() == pytest.approx((1 + 10 + 9) / 3)
    assert pairs(x, torch.tensor([0, 0, 1])).item() == 1
    assert pairs(x, torch.tensor([0, 1, 2])).item() == 0


def planted(count: int = 800) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    y = torch.randint(4, (count,), generator=draw)
    return torch.eye(4)[y] + 0.3 * torch.randn(count, 4, generator=draw), y


def test_labels_are_read_from_images_that_show_them_and_are_evidence_only_where_they_belong() -> None:
    x, y = planted()
    reading = Reading(x, y, 4)
    assert reading.share(x[400:], y[400:]) > 0.95
    assert reading.evidence > 20
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(2))
    assert abs(Reading(x, y[order], 4).evidence) < 3


def test_evidence_does_not_depend_on_how_common_a_class_is() -> None:
    x, y = planted(4000)
    rare = (y > 0) & (torch.arange(len(y)) % 20 > 0)
    x, y = x[~rare], y[~rare]
    assert Reading(x, y, 4).evidence > 10
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(2))
    assert abs(Reading(x, y[order], 4).evidence) < 3


def of_labels(shares: list[float]) -> Subject:
    found = subject(Parts(generator=linear([[1.0]])))
    found.setting = Setting(Normal(), 1, label_shares=torch.tensor(shares))
    return found


def test_labels_of_a_batch_are_counted_against_the_number_that_it_should_have() -> None:
    gauge = Gauges(of_labels([0.25] * 4 + [0.0] * 4), 4, lambda: None)
    gauge.see({"images": [None], "labels": [torch.tensor([2, 2])]})
    found = gauge.measure({})
    assert found["guard/labels/alive"].item() == 0.5
    assert found["guard/labels/classes"].item() == pytest.approx(1 / (4 * (1 - 0.75**2)))
    gauge.see({"images": [None], "labels": [None]})
    assert gauge.measure({}) == {}
