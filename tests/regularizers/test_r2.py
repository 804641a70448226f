"""R2: arXiv:1801.04406, eq. 10."""

import pytest
import torch
from support.rehearsals import Quadratic, Rehearsal
from torch.testing import assert_close

from ganlab.regularizers.r1 import R1
from ganlab.regularizers.r2 import R2
from ganlab.testing import check_regularizer


@pytest.mark.parametrize("interval_steps", [1, 16])
def test_it_keeps_the_contract(interval_steps: int) -> None:
    assert check_regularizer(R2(gamma=2.0, interval_steps=interval_steps)) == []


def test_of_a_quadratic_discriminator_it_is_known_and_leaves_the_generator_alone() -> None:
    """D = 1/2 w·x^2, g = w x, at G(z): gamma/2 E||w G(z)||^2."""
    play = Rehearsal(Quadratic((2, 4, 4)), R2(gamma=3.0))
    w = play.discriminator.w
    view = play.view()
    value = play.term("r2", view=view)
    fakes = view.fakes(grad=False).images.detach()
    assert_close(value.item(), 1.5 * sum(float(((w.detach() * x) ** 2).sum()) for x in fakes) / 6)
    assert_close(torch.autograd.grad(value, w, retain_graph=True)[0], 3 * w.detach() * fakes.square().mean(0))
    nothing = torch.autograd.grad(value, list(play.generator.parameters()), allow_unused=True)
    assert all(gradient is None for gradient in nothing)


def test_with_r1_both_are_terms() -> None:
    assert set(Rehearsal(Quadratic((2, 4, 4)), R1(), R2()).terms()["discriminator"]) == {"r1", "r2"}


def test_a_negative_gamma_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gamma must be finite and at least 0, got -0.1"):
        R2(gamma=-0.1)
