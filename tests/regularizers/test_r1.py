"""R1: arXiv:1801.04406, eq. 9."""

import pytest
import torch
from support.rehearsals import DISCRIMINATOR, Linear, Quadratic, Rehearsal
from torch.testing import assert_close

from ganlab.contracts.game import Game
from ganlab.regularizers.r1 import R1
from ganlab.testing import check_regularizer


@pytest.mark.parametrize("interval_steps", [1, 16])
def test_it_keeps_the_contract(interval_steps: int) -> None:
    assert check_regularizer(R1(gamma=2.0, interval_steps=interval_steps)) == []


@pytest.mark.parametrize("image_shape", [(2, 4, 4), (3,)])
def test_of_a_quadratic_discriminator_it_is_known(image_shape: tuple[int, ...]) -> None:
    """D = 1/2 w·x^2, g = w x: gamma/2 E||w x||^2, with the gradient gamma w E[x^2]."""
    play = Rehearsal(Quadratic(image_shape), R1(gamma=3.0), image_shape=image_shape)
    w = play.discriminator.w
    value = play.term("r1")
    assert_close(value.item(), 1.5 * sum(float(((w.detach() * x) ** 2).sum()) for x in play.reals) / 6)
    assert_close(torch.autograd.grad(value, w)[0], 3 * w.detach() * play.reals.square().mean(0))


def test_played_lazily_it_has_the_same_expected_gradient() -> None:
    """Over k iterations on the same images: one gradient of k times the term = k gradients of the term."""
    gradients = []
    for k in (1, 5):
        play = Rehearsal(Quadratic((2, 4, 4)), R1(interval_steps=k))
        w, total = play.discriminator.w, torch.zeros((), dtype=torch.float64)
        for iteration in range(5):
            for turn in play.game.all_turns():
                terms = play.terms(turn).get("discriminator", {}) if iteration % turn.every == 0 else {}
                for term in terms.values():
                    total = total + torch.autograd.grad(term, w)[0]
        gradients.append(total)
    assert_close(*gradients)


def test_eager_it_lets_the_main_pass_serve_and_lazy_it_does_not_ask_for_it() -> None:
    play = Rehearsal(Linear((2, 4, 4)), R1())
    view = play.view()
    play.terms(view=view)
    assert view.reals.images.requires_grad
    lazy = Rehearsal(Linear((2, 4, 4)), R1(interval_steps=2))
    view = lazy.view()
    lazy.terms(DISCRIMINATOR, view=view)
    assert not view.reals.images.requires_grad


def test_a_game_without_a_discriminator_is_refused() -> None:
    class Alone(Game):
        def __init__(self) -> None:
            super().__init__()
            self.generator = torch.nn.Linear(1, 1)
            self.add_modules("generator", generator=self.generator)

    with pytest.raises(ValueError, match="it needs a discriminator, but this game has only generator"):
        R1().attach(Alone())


def test_a_negative_gamma_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gamma must be finite and at least 0, got -0.1"):
        R1(gamma=-0.1)
