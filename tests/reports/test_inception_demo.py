"""The demonstration of what the Inception Score hides: closed forms on the line, known faults in images."""

import math
from pathlib import Path

import pytest
import torch

from ganlab.assembly import run_data
from ganlab.config import compose
from ganlab.core.errors import GanlabError
from ganlab.data.run_images import RunData
from ganlab.reports import inception_demo
from ganlab.reports.inception_demo import Demo


@pytest.fixture(scope="module")
def real() -> RunData:
    return run_data.open_data(compose.read(["data=digits"]))


@pytest.fixture(scope="module")  # trains eight classifiers
def found(real: RunData, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return inception_demo.inception_score(real, tmp_path_factory.mktemp("cache"))


def test_scores_on_the_line_are_those_of_the_integrals() -> None:
    """The entropy of a Bernoulli variable of mean sigmoid(x) has the integral pi^2 / 3 over the line; so a uniform
    distribution over (-L, L) scores 2 exp(-pi^2 / 6 L), but for e^-L. The others by Monte Carlo."""
    scores = inception_demo.gaussians()
    assert scores["U(-100, 100)"] == pytest.approx(2 * math.exp(-(math.pi**2) / 600), rel=1e-6)
    assert scores["half at -infinity, half at infinity"] == 2
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(1_000_000, dtype=torch.float64, generator=generator)
    sides = torch.randint(0, 2, normal.shape, generator=generator) * 2 - 1
    for name, x in (("N(0, 20)", normal * math.sqrt(20)), ("the data themselves", normal * math.sqrt(2) + sides)):
        p = torch.stack([torch.sigmoid(x), torch.sigmoid(-x)])
        entropy = torch.special.entr(p).sum(0)
        expected = torch.exp(math.log(2) - entropy.mean())
        assert scores[name] == pytest.approx(float(expected), abs=4 * float(entropy.std()) / 1000 * 2)
    assert scores["the data themselves"] == min(scores.values())


@pytest.mark.slow
def test_each_fault_is_seen_by_the_scores_that_can_see_it(found: Demo) -> None:
    values, classes = found.values, 10
    real, copied, one, sure, noise = (
        values[name] for name in ("held-out images", "training images", "one image a class", "optimised noise", "noise")
    )
    assert one["is"] > real["is"]
    assert sure["is"] > real["is"]
    assert one["is"] == pytest.approx(classes, rel=0.01)  # log K - H(y|x), and the classes in equal numbers
    for fault in (one, sure, noise):
        assert fault["fid"] > 3 * real["fid"]
        assert fault["kid"] > 3 * real["kid"]
    assert copied["fid"] < 2 * real["fid"]
    assert (copied["copies"], one["copies"], real["copies"]) == (1, 1, pytest.approx(0, abs=0.02))
    assert real["nearer_than_train"] == pytest.approx(0.5, abs=0.1)
    assert min(found.classifiers) > 0.95
    assert found.classifiers[0] == found.classifiers[1]  # of eight seeds two agree, as birthdays do
    assert values["letters"]["h_y_given_x"] > 3 * real["h_y_given_x"]


@pytest.mark.slow
def test_more_splits_of_the_same_images_score_less(found: Demo) -> None:
    for splits in found.splits.values():
        means = [splits[n][0] for n in inception_demo.SPLITS]
        assert means == sorted(means, reverse=True)
    assert found.splits["held-out images"][1][0] == pytest.approx(found.values["held-out images"]["is"])


@pytest.mark.slow
def test_noise_that_one_classifier_is_sure_of_does_not_convince_another(found: Demo) -> None:
    name = "optimised noise"
    assert found.second[name] < found.values[name]["is"] - 1


@pytest.mark.slow
def test_what_is_printed_and_the_page_say_the_same(found: Demo, tmp_path: Path) -> None:
    text, path = inception_demo.text(found), inception_demo.write(found, tmp_path)
    html = path.read_text(encoding="utf-8")
    for name, values in found.values.items():
        assert name in text
        assert name in html
        assert f"{values['is']:.3f}" in text
        assert f"{values['is']:.3f}" in html
    for sentence in inception_demo.conclusions(found):
        assert sentence in text
        assert sentence in html
    assert html.count("data:image/png") == len(found.sets)


def test_data_without_labels_or_without_held_out_images_is_refused(real: RunData, tmp_path: Path) -> None:
    nothing = {name: rows[:0] if name == "test" else rows for name, rows in real.splits.items()}
    with pytest.raises(GanlabError, match="needs labelled data of which a part is held out"):
        inception_demo.inception_score(RunData(real.images, nothing, real.make_fingerprint), tmp_path)
