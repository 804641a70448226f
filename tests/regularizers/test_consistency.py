"""Consistency regularization: arXiv:1910.12027 and arXiv:2002.04724."""

from typing import Any

import pytest
import torch
from support.rehearsals import DISCRIMINATOR, GENERATOR, Quadratic, Rehearsal
from torch.testing import assert_close

from ganlab.core.errors import GanlabError
from ganlab.layers.shift import shifted
from ganlab.regularizers.consistency import Consistency, transformed
from ganlab.testing import ToyDiscriminator, check_regularizer, toy_game

ALL: dict[str, Any] = {"real": 2.0, "fake": 3.0, "latent": 5.0, "diversity": 0.7}


def test_it_keeps_the_contract() -> None:
    (points,) = check_regularizer(Consistency(**ALL))
    assert "set reg.consistency.real=0" in points
    assert check_regularizer(Consistency(real=0.0, latent=1.0, diversity=1.0)) == []


def test_each_term_is_the_papers() -> None:
    regularizer = Consistency(**ALL, latent_std=0.1)
    play = Rehearsal(Quadratic((2, 8, 16)), regularizer, image_shape=(2, 8, 16))
    game = play.game
    view, keyed = play.view(), play.view()
    found = play.terms(view=view)["discriminator"]
    reals, fakes = view.reals.images.detach(), view.fakes(grad=False).images
    for name, weight, images, role in (("real", 2, reals, "real"), ("fake", 3, fakes, "fake")):
        changed = transformed(images, keyed.draw(f"consistency of {role}", (6, 3), "uniform"))
        assert not torch.equal(changed, images)
        expected = weight * (game.discriminator(images) - game.discriminator(changed)).square().mean()
        assert_close(found[f"consistency_{name}"], expected)
    step = 0.1 * keyed.draw("consistency of latents", view.z.shape).double()
    near = game.generator(view.z + step)
    expected = 5 * (game.discriminator(fakes) - game.discriminator(near)).square().mean()
    assert_close(found["consistency_latent"], expected)
    view, keyed = play.view(GENERATOR), play.view(GENERATOR)
    of_generator = play.terms(GENERATOR, view=view)
    step = 0.1 * keyed.draw("consistency of latents", view.z.shape).double()
    apart = (game.generator(view.z) - game.generator(view.z + step)).square()
    assert_close(of_generator, {"generator": {"diversity": -0.7 * apart.flatten(1).sum(1).mean()}})
    regularizer.per_pixel = True
    assert_close(play.terms(GENERATOR)["generator"]["diversity"], -0.7 * apart.mean())


def test_by_default_it_is_cr() -> None:
    play = Rehearsal(ToyDiscriminator((2, 8, 8)), Consistency(), image_shape=(2, 8, 8))
    assert set(play.terms()["discriminator"]) == {"consistency_real"}
    assert play.terms(GENERATOR) == {}


def test_gradients_reach_the_discriminator_through_both_logits_and_the_generator_from_none_of_its_terms() -> None:
    """With D = w·x^2/2 the slope of (D(x) - D(Tx))^2 is (x^2 - (Tx)^2)(D(x) - D(Tx))."""
    play = Rehearsal(Quadratic((2, 8, 8)), Consistency(real=1.0, latent=1.0), image_shape=(2, 8, 8))
    view, keyed = play.view(), play.view()
    terms = play.terms(view=view)["discriminator"]
    w, x = play.discriminator.w, play.reals
    tx = transformed(x, keyed.draw("consistency of real", (6, 3), "uniform"))
    apart = ((x.square() - tx.square()) * w).flatten(1).sum(1) / 2
    expected = ((x.square() - tx.square()) * apart.view(-1, 1, 1, 1)).mean(0)
    assert_close(torch.autograd.grad(terms["consistency_real"], w, retain_graph=True)[0], expected)
    terms["consistency_latent"].backward()
    assert play.generator.linear.weight.grad is None


def test_the_transformation_mirrors_half_of_the_images_and_moves_by_up_to_an_eighth() -> None:
    where = torch.arange(8.0 * 16).view(1, 1, 8, 16).expand(400, 1, 8, 16)
    changed = transformed(where, torch.rand(400, 3, generator=torch.Generator().manual_seed(0)))
    middle = changed[:, 0, 4, 8]
    rows, columns = middle.div(16).floor(), middle.remainder(16)
    assert set(rows.tolist()) == {3, 4, 5}
    right = changed[:, 0, 4, 9] - middle
    assert abs((right == -1).float().mean() - 0.5) < 0.13
    assert set(columns[right == 1].tolist()) == {6, 7, 8, 9, 10}
    assert set((15 - columns[right == -1]).tolist()) == {6, 7, 8, 9, 10}
    row = torch.tensor([[1.0, 2, 3, 4]]).view(1, 1, 1, 4)
    assert shifted(row, torch.tensor([0]), torch.tensor([2])).flatten().tolist() == [3, 4, 3, 2]


def test_passes_that_the_loss_makes_are_shared() -> None:
    play = Rehearsal(ToyDiscriminator((2, 8, 8)), Consistency(**ALL), image_shape=(2, 8, 8))
    calls = []
    play.discriminator.body.register_forward_hook(lambda *_: calls.append(1))
    play.terms()
    assert len(calls) == 5  # real, fake, and one for each term
    calls.clear()
    play.terms(GENERATOR)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"real": -1.0}, "real must be finite and at least 0"),
        ({"diversity": float("nan")}, "diversity must be finite"),
        ({"latent_std": 0.0}, "latent_std must be finite and positive, got 0"),
        ({"real": 0.0}, "one of real, fake, latent and diversity must be above 0"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Consistency(**options)


def test_points_are_refused_with_what_to_do() -> None:
    with pytest.raises(GanlabError, match=r"set reg\.consistency\.real=0"):
        Consistency().attach(toy_game((2,)))
    assert Rehearsal(Quadratic((2,)), Consistency(real=0.0, latent=1.0), image_shape=(2,)).terms(DISCRIMINATOR)
