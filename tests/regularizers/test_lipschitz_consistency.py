"""CT-GAN's consistency: arXiv:1803.01541. The authors' own numbers are in test_authors.py."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from support.rehearsals import GENERATOR, Rehearsal
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from ganlab.core.errors import GanlabError
from ganlab.regularizers.lipschitz_consistency import LipschitzConsistency
from ganlab.testing import ToyDiscriminator, check_regularizer


class Dropping(ToyDiscriminator):
    """Its features are multiplied by masks, one after another; where there are none left, by 1."""

    def __init__(self, image_shape: tuple[int, int, int], masks: Sequence[Tensor]) -> None:
        super().__init__(image_shape)
        self.masks = list(masks)

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        found = super().features(x, y) - 0.7  # of both signs
        return found * self.masks.pop(0) if self.masks else found


def test_it_keeps_the_contract() -> None:
    assert check_regularizer(LipschitzConsistency()) == []


@pytest.mark.parametrize(
    ("features", "feature_weight", "margin", "distance"),
    [
        ("map", 0.0, 0.002, "squared"),
        ("map", 0.4, 0.02, "squared"),
        ("pooled", 0.4, 0.008, "squared"),
        ("map", 0.4, 0.5, "norm"),
        ("pooled", 0.4, 0.1, "norm"),
    ],
)
def test_it_equals_a_loop_over_images(features: str, feature_weight: float, margin: float, distance: str) -> None:
    """w max(0, (d' - d'')^2 + c mean (f' - f'')^2 - m), or w max(0, |d' - d''| + c ||f' - f''|| - m), image by image;
    masks of the reals, the fakes, the reals."""
    masks = [2.0 * (torch.rand(6, 5, 1, 1, generator=torch.Generator().manual_seed(i)) < 0.5) for i in range(3)]
    torch.manual_seed(3)  # weights of the network
    options: dict[str, Any] = {"weight": 3.0, "feature_weight": feature_weight, "margin": margin, "features": features,
               "distance": distance}  # fmt: skip
    play = Rehearsal(Dropping((2, 8, 8), masks), LipschitzConsistency(**options), image_shape=(2, 8, 8))
    value = play.term("lipschitz_consistency")
    network, expected, costs = play.discriminator, torch.zeros((), dtype=torch.float64), []
    for i, x in enumerate(play.reals):
        both = [network.features(x[None]) * masks[j][i] for j in (0, 2)]
        logits = [network.head(f) for f in both]
        if features == "pooled":
            both = [F.relu(f).mean((2, 3)) for f in both]
        if distance == "squared":
            cost = (logits[0] - logits[1]).square() + feature_weight * (both[0] - both[1]).square().mean()
        else:
            cost = (logits[0] - logits[1]).abs() + feature_weight * (both[0] - both[1]).square().sum().sqrt()
        costs.append(cost.item())
        expected = expected + 3.0 * F.relu(cost - margin).squeeze() / 6
    assert min(costs) < margin < max(costs), "the hinge is to be seen"
    assert_close(value, expected)
    parameters = list(network.parameters())
    for found, wanted in zip(*(torch.autograd.grad(v, parameters) for v in (value, expected)), strict=True):
        assert_close(found, wanted)


def test_it_makes_one_pass_more_and_none_in_turns_of_others() -> None:
    calls = []
    network = Dropping((2, 8, 8), [])
    network.body.register_forward_pre_hook(lambda _, arguments: calls.append(len(arguments[0])))
    play = Rehearsal(network, LipschitzConsistency(), image_shape=(2, 8, 8))
    play.terms()
    assert calls == [6, 6, 6]  # reals, fakes, reals again
    assert play.terms(GENERATOR) == {}


@pytest.mark.parametrize("distance", ["squared", "norm"])
def test_passes_that_agree_cost_nothing_and_have_finite_gradients(distance: str) -> None:
    play = Rehearsal(Dropping((2, 8, 8), []), LipschitzConsistency(distance=distance), image_shape=(2, 8, 8))
    value = play.term("lipschitz_consistency")
    assert value == 0
    gradients = torch.autograd.grad(value, list(play.discriminator.parameters()), allow_unused=True)
    assert all(not g.any() for g in gradients if g is not None)


def test_dropout_draws_other_masks_for_the_second_pass() -> None:
    class Network(ToyDiscriminator):
        def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            return F.dropout(super().features(x, y), 0.5)

    play = Rehearsal(Network((2, 8, 8)), LipschitzConsistency(), image_shape=(2, 8, 8))
    assert play.term("lipschitz_consistency") > 1e-4
    assert_close(play.term("lipschitz_consistency"), play.term("lipschitz_consistency"))


def test_a_discriminator_without_features_is_refused_unless_logits_are_compared_alone() -> None:
    class Whole(nn.Module):
        num_classes = 0

        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(2, 4, 4))

        def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            return F.dropout((x * self.w).flatten(1), 0.5).sum(1)

    with pytest.raises(
        GanlabError, match=r"Whole has no features with a head: set reg.lipschitz_consistency.feature_w"
    ):
        Rehearsal(Whole(), LipschitzConsistency())
    assert Rehearsal(Whole(), LipschitzConsistency(feature_weight=0.0)).term("lipschitz_consistency") > 0


def test_it_says_what_it_needs() -> None:
    assert LipschitzConsistency().needs == ("dropout", "features")
    assert LipschitzConsistency(feature_weight=0.0).needs == ("dropout",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "weight must be finite and at least 0"),
        ({"margin": -1.0}, "margin must be finite and at least 0"),
        ({"features": "all"}, "features must be one of map, pooled"),
        ({"distance": "l2"}, "distance must be one of squared, norm"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LipschitzConsistency(**options)


def test_dropout_modules_are_found_by_the_declaration() -> None:
    from ganlab.contracts.compatibility import refusals

    plain, dropping = ToyDiscriminator(), nn.Sequential(nn.Dropout(0.5))
    regularizer = LipschitzConsistency(feature_weight=0.0)
    (sentence,) = refusals({"discriminator": plain, "reg=lipschitz_consistency": regularizer})
    assert "needs dropout in the discriminator" in sentence
    assert "add reg=dropout" in sentence
    assert refusals({"discriminator": dropping, "reg=lipschitz_consistency": regularizer}) == []
