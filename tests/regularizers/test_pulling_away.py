"""The pulling-away term: arXiv:1609.03126, eq. 4."""

from typing import cast

import pytest
import torch
from support.gradients import gradient
from support.rehearsals import DISCRIMINATOR, GENERATOR, Rehearsal
from torch import Tensor, nn
from torch.testing import assert_close

from ganlab.contracts import compatibility
from ganlab.contracts.view import View
from ganlab.regularizers.pulling_away import PullingAway, pulling_away
from ganlab.testing import ToyDiscriminator, check_regularizer

ALONE = cast(View, View)  # of a view it takes `gather` alone, a static method


class Auto(nn.Module):
    """An auto-encoder of points: code tanh(W x), logit -||x - W^T code||^2."""

    def __init__(self) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.randn(3, 2))

    def encode(self, x: Tensor) -> Tensor:
        return (x @ self.W.T).tanh()

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return -(self.encode(x) @ self.W - x).square().sum(1)


def naive(code: Tensor) -> Tensor:
    total, n = code.new_zeros(()), len(code)
    for i in range(n):
        for j in range(n):
            if i != j:
                total = total + (code[i] @ code[j] / (code[i].norm() * code[j].norm())) ** 2
    return total / (n * (n - 1))


def test_it_keeps_the_contract() -> None:
    assert check_regularizer(PullingAway()) == []


def test_it_is_the_papers_sum_over_pairs_gradient_included() -> None:
    code = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found, expected = pulling_away(code, ALONE), naive(code)
    assert_close(found, expected)
    assert_close(*(torch.autograd.grad(value, code)[0] for value in (found, expected)))
    assert torch.autograd.gradgradcheck(lambda c: pulling_away(c, ALONE), code)


def test_it_is_1_for_parallel_codes_0_for_orthogonal_ones_and_finite_for_none() -> None:
    assert_close(pulling_away(torch.tensor([[1.0, 2.0], [-2.0, -4.0], [3.0, 6.0]]), ALONE).item(), 1.0)
    assert_close(pulling_away(torch.eye(4), ALONE).item(), 0.0)
    assert pulling_away(torch.zeros(3, 4), ALONE) == 0
    assert pulling_away(torch.ones(1, 4), ALONE) == 0


def test_the_generator_pays_for_features_of_the_pass_that_the_loss_makes() -> None:
    play = Rehearsal(ToyDiscriminator((2, 8, 8)), PullingAway(weight=0.3), image_shape=(2, 8, 8))
    calls = []
    body = play.discriminator.body
    body.register_forward_hook(lambda *_: calls.append(1))
    view = play.view(GENERATOR)
    found = play.terms(GENERATOR, view=view)["generator"]["pulling_away"]
    assert len(calls) == 1
    features = play.discriminator.features(view.fakes().images)
    assert_close(found, 0.3 * naive(features.flatten(1)))
    found.backward()
    assert gradient(play.generator.linear.weight).any()
    assert play.terms(DISCRIMINATOR) == {}


def test_the_code_of_an_auto_encoder_is_taken_where_there_is_one() -> None:
    play = Rehearsal(Auto(), PullingAway(weight=2.0), image_shape=(2,))
    view = play.view(GENERATOR)
    found = play.terms(GENERATOR, view=view)["generator"]["pulling_away"]
    assert_close(found, 2 * naive(play.discriminator.encode(view.fakes().images)))


def test_a_discriminator_with_neither_is_refused_with_what_to_do() -> None:
    game = type("Game", (), {"provides": ("discriminator",)})
    (reason,) = compatibility.refusals({"game=a": game, "discriminator": nn.Linear(2, 1), "reg=p": PullingAway()})
    assert reason.startswith("reg=p needs a discriminator with features(x, y), or an auto-encoder")


def test_weights_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="weight must be finite and at least 0"):
        PullingAway(weight=-0.1)
