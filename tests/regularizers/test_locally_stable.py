"""Nagarajan and Kolter's regularizer: arXiv:1706.04156. The authors' own numbers are in test_authors.py."""

import copy

import pytest
import torch
from support.engine import Engine, flat, pair, points
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from ganlab.games.standard import Standard
from ganlab.losses.non_saturating import NonSaturating
from ganlab.regularizers.locally_stable import LocallyStable
from ganlab.testing import check_regularizer


def test_it_keeps_the_contract() -> None:
    assert check_regularizer(LocallyStable()) == []


def test_the_generators_step_follows_it_and_the_discriminators_does_not() -> None:
    """G: f_G + weight ||df_D/dw_D||^2 on the reals of the discriminator's turn; D: f_D alone."""
    generator, discriminator = pair()
    game = Standard(generator=generator, discriminator=discriminator, loss=NonSaturating(), update="simultaneous")
    d, g = copy.deepcopy(discriminator), copy.deepcopy(generator)
    engine = Engine(game, {"locally_stable": LocallyStable(weight=0.7)}, rate=0.1)
    engine.iterate()

    def objective(fake: Tensor) -> Tensor:
        return F.softplus(-d(points(0))).mean() + F.softplus(d(fake)).mean()

    found = dict(engine.gradients)
    assert_close(found["discriminator"], flat(torch.autograd.grad(objective(g(engine.z(0))), list(d.parameters()))))
    fake = g(engine.z(1))
    v = torch.autograd.grad(objective(fake), list(d.parameters()), create_graph=True)
    total = F.softplus(-d(fake)).mean() + 0.7 * sum(t.square().sum() for t in v)
    assert_close(found["generator"], flat(torch.autograd.grad(total, list(g.parameters()))))


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="weight must be finite and at least 0"):
        LocallyStable(weight=-1.0)
