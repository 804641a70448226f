from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from ganlab.contracts.metric import Context
from ganlab.metrics.inception_score import InceptionScore
from ganlab.testing.metrics import score

SURE = 200.0  # a logit that makes a class certain


def one_hot(labels: torch.Tensor, classes: int) -> torch.Tensor:
    return SURE * torch.nn.functional.one_hot(labels, classes).float()


def test_bounds_certain_and_even_is_the_number_of_classes_blind_or_one_class_is_one() -> None:
    """H(y) - H(y|x): log K - 0 for certain predictions spread evenly, 0 for equal predictions of any kind."""
    even = one_hot(torch.arange(200) % 5, 5)
    for logits, expected in ((even, 5.0), (torch.zeros(200, 5), 1.0), (one_hot(torch.zeros(200).long(), 5), 1.0)):
        values = score(InceptionScore(splits=1), fake={"logits": logits}).values
        assert_close(values["is"].value, expected, rtol=1e-12, atol=0)
        assert_close(values["mutual_information"].value, math.log(expected), rtol=1e-12, atol=1e-12)


def test_a_known_distribution() -> None:
    """Half the images (.9, .1), half (.1, .9): I = log 2 + .9 log .9 + .1 log .1."""
    p = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).repeat(100, 1)
    values = score(InceptionScore(), fake={"logits": p.double().log()}).values
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert_close(values["h_y"].value, math.log(2), rtol=1e-7, atol=0)
    assert_close(values["h_y_given_x"].value, entropy, rtol=1e-6, atol=0)
    assert_close(values["mutual_information"].value, math.log(2) - entropy, rtol=1e-6, atol=0)


def test_it_is_torch_fidelitys_and_the_error_is_that_of_the_samples() -> None:
    metric_isc = pytest.importorskip("torch_fidelity.metric_isc")
    logits = 3 * torch.randn(517, 7, generator=torch.Generator().manual_seed(0))
    for splits in (10, 3):
        theirs = metric_isc.isc_features_to_metric(logits, splits=splits)
        found = score(InceptionScore(splits), fake={"logits": logits})
        assert_close(found.values["is"].value, theirs["inception_score_mean"], rtol=1e-12, atol=0)
        assert_close(found.values["is_std"].value, theirs["inception_score_std"], rtol=1e-10, atol=0)
    for splits, entry in found.details["splits"].items():
        theirs = metric_isc.isc_features_to_metric(logits, splits=splits)
        assert_close(entry["mean"], theirs["inception_score_mean"], rtol=1e-12, atol=0)
    # KL(p_i || mean p), sample by sample
    p = logits.double().softmax(1)
    of_samples = {
        "mutual_information": (p * (p.log() - p.mean(0).log())).sum(1),
        "h_y": -(p * p.mean(0).log()).sum(1),
        "h_y_given_x": -(p * p.log()).sum(1),
    }
    for name, numbers in of_samples.items():
        value = found.values[name]
        assert_close(value.value, float(numbers.mean()), rtol=1e-12, atol=0)
        assert value.low is not None
        assert_close((value.value - value.low) / 1.959963984540054, float(numbers.std() / 517**0.5), rtol=1e-9, atol=0)


@pytest.mark.parametrize("splits", [20, 1])
def test_the_interval_of_the_score_has_the_width_that_repetitions_have(splits: int) -> None:
    """Of 100 sets of 100 images; in twenty splits of five the score is far lower than that of all at once, and varies
    less. Student's t at 97.5 % of 19 degrees of freedom, twenty splits or blocks less one, is 2.093."""
    logits = 3 * torch.randn(100, 100, 12, generator=torch.Generator().manual_seed(0))
    found = [score(InceptionScore(splits), fake={"logits": part}).values["is"] for part in logits]
    deviation = float(torch.tensor([value.value for value in found]).std())
    halves = torch.tensor([value.value - value.low for value in found if value.low is not None])
    assert_close(float(halves.mean()), 2.093 * deviation, rtol=0.2, atol=0)  # 100 repetitions know it to 7 %


def test_the_interval_is_of_the_splits_where_they_are_many_and_else_in_proportion_to_the_score_without() -> None:
    """t of 9 degrees of freedom is 2.262, and the population deviation sqrt(9 / 10) of the sample's."""
    logits = 3 * torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    ten, three, one = (score(InceptionScore(splits), fake={"logits": logits}).values for splits in (10, 3, 1))
    halves = [v["is"].value - v["is"].low for v in (ten, three, one) if v["is"].low is not None]
    assert_close(halves[0], 2.262 * ten["is_std"].value / 9**0.5, rtol=1e-12, atol=0)
    assert_close(halves[1] / three["is"].value, halves[2] / one["is"].value, rtol=1e-9, atol=0)


def test_more_splits_give_a_lower_score_of_the_same_images() -> None:
    logits = 3 * torch.randn(400, 10, generator=torch.Generator().manual_seed(1))
    spread = score(InceptionScore(), fake={"logits": logits}).details["splits"]
    means = [spread[n]["mean"] for n in (1, 2, 5, 10, 20)]
    assert means == sorted(means, reverse=True)


def test_a_classifier_of_other_data_is_warned_of_and_the_most_predicted_classes_are_named() -> None:
    logits = one_hot(torch.tensor([2] * 30 + [0] * 10), 3)
    context = Context(class_names=("cat", "dog", "owl"), own_classifier=True)
    own = score(InceptionScore(), context, fake={"logits": logits})
    assert own.warnings == []
    assert own.details["most_predicted"][0] == {"class": "owl", "share": 0.75}
    assert "other data" in score(InceptionScore(), fake={"logits": logits}).warnings[0]
