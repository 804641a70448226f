"""Dropout in the discriminator, with keyed masks."""

import copy
from typing import Any

import pytest
import torch
from support.rehearsals import GENERATOR, Linear, Rehearsal
from torch import Tensor, nn
from torch.testing import assert_close

from ganlab.contracts.points import Points
from ganlab.contracts.regularizer import Regularizer
from ganlab.core import randomness
from ganlab.core.errors import GanlabError
from ganlab.models.sngan import Discriminator
from ganlab.regularizers.dropout import Dropout
from ganlab.regularizers.r1 import R1
from ganlab.testing import ToyDiscriminator, check_regularizer, toy_game

IMAGE = (2, 8, 8)


def toy(*regularizers: Regularizer) -> Rehearsal[ToyDiscriminator]:
    return Rehearsal(ToyDiscriminator(IMAGE), *regularizers, image_shape=IMAGE)


class Blocks(Linear):
    """D(x) = w·f2(f1(f0(x))) of identities: what is dropped where can be read off the features."""

    def __init__(self, image_shape: tuple[int, int, int], count: int = 3) -> None:
        super().__init__(image_shape)
        self.blocks = nn.ModuleList([nn.Identity() for _ in range(count)])
        self.seen: list[Tensor] = []

    def features(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        self.seen = [x]
        for block in self.blocks:
            x = block(x)
            self.seen.append(x)
        return super().features(x, y)


def test_it_keeps_the_contract() -> None:
    assert check_regularizer(Dropout(rates=(0.3,), places=("images", "body", "features"))) == []


def test_numbers_are_kept_with_probability_one_minus_rate_and_divided_by_it() -> None:
    """The share of zeros in n numbers is within 5 standard deviations sqrt(rate (1 - rate) / n) of the rate."""
    regularizer = Dropout(rates=(0.2, 0.5, 0.75))
    play = Rehearsal(Blocks((1, 64, 64)), regularizer, image_shape=(1, 64, 64))
    view = play.view()
    with randomness.using(view.stream):
        view.logits(Points(torch.ones(4, 1, 64, 64), None, "ones"))
    seen, kept = play.discriminator.seen, 1.0
    for rate, before, after in zip((0.2, 0.5, 0.75), seen, seen[1:], strict=False):
        alive = before != 0
        share = (after[alive] == 0).double().mean().item()
        assert abs(share - rate) < 5 * (rate * (1 - rate) / alive.sum().item()) ** 0.5
        assert_close(after[after != 0], (before / (1 - rate))[after != 0])
        kept *= 1 - rate
    assert abs((seen[-1] != 0).double().mean().item() - kept) < 0.02


def test_by_default_it_sits_behind_the_last_three_blocks_with_the_rates_of_ct_gan() -> None:
    regularizer = Dropout()
    regularizer.attach(game := toy_game((3, 32, 32)))
    assert regularizer._rate_at == {"features": 0.5}
    game.discriminator = Discriminator(32, width=4, growth=1, halvings=2, plain_blocks=2)
    (again := Dropout()).attach(game)
    assert again._rate_at == {"blocks.1": 0.2, "blocks.2": 0.5, "blocks.3": 0.5}
    game.discriminator = Blocks((3, 32, 32), count=2)
    (short := Dropout()).attach(game)
    assert short._rate_at == {"blocks.0": 0.5, "blocks.1": 0.5}


def test_every_pass_over_the_same_images_has_a_mask_of_its_own() -> None:
    play = toy(Dropout())
    view = play.view()
    with randomness.using(view.stream):
        first = view.logits(view.reals)
        assert view.logits(view.reals) is first
        second = view.logits(Points(view.reals.images, None, "real"))
        other = view.logits(Points(view.reals.images, None, "again"))
    assert len({float(x.detach()[0]) for x in (first, second, other)}) == 3


def test_masks_do_not_depend_on_who_passes_before_and_a_key_gives_them_again() -> None:
    play = toy(Dropout(rates=(0.5,), places=("images", "body")), R1())
    first, second, third = play.view(), play.view(), play.view(key=(1,))
    with randomness.using(first.stream):
        real = first.logits(first.reals)
    with randomness.using(second.stream):
        second.input_gradient(second.interpolated())
        second.logits(second.fakes())
        assert torch.equal(real, second.logits(second.reals))
    with randomness.using(third.stream):
        assert not torch.equal(real, third.logits(third.reals))


def test_penalties_and_the_generators_turn_see_it_too() -> None:
    played = toy(Dropout(rates=(0.9,)))
    view = played.view(GENERATOR)
    with randomness.using(view.stream):
        logits = view.logits(view.fakes())
    assert not torch.allclose(logits, played.discriminator(view.fakes().images))
    play = Rehearsal(Linear(IMAGE), Dropout(rates=(0.5,), places=("images",)), image_shape=IMAGE)
    view = play.view()
    with randomness.using(view.stream):
        gradient = view.input_gradient(view.reals)
    w = play.discriminator.w
    kept = gradient != 0
    assert 0.3 < kept.double().mean() < 0.7
    assert_close(gradient[kept], (2 * w).expand_as(gradient)[kept])


def test_in_evaluation_nothing_is_dropped_and_outside_of_turns_torchs_generator_draws() -> None:
    regularizer = Dropout(rates=(0.5,), places=("body", "features"))
    play = toy(regularizer)
    network, x = play.discriminator, play.reals
    assert not torch.equal(network(x), network(x))
    for module in (network, regularizer):
        module.eval()
    assert torch.equal(network(x), network(x))
    view = play.view()
    with randomness.using(view.stream):
        assert_close(view.logits(view.reals), network(x))


def test_a_copy_of_the_game_and_its_regularizer_plays_alike() -> None:
    play = toy(Dropout(rates=(0.5,), places=("body",)))
    game, regularizers = copy.deepcopy((play.game, play.regularizers))
    expected = play.terms()
    play.game, play.regularizers = game, regularizers
    assert play.terms() == expected


def test_a_discriminator_without_features_is_served_at_named_modules() -> None:
    class Energy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(2, 1)

        def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            return self.net(x).squeeze(1)

    game = toy_game((2,))
    game.discriminator = Energy()
    with pytest.raises(
        GanlabError, match=r"no blocks, and no features with a head: name modules as reg\.dropout\.places"
    ):
        Dropout().attach(game)
    play = Rehearsal(Energy(), Dropout(rates=(0.5,), places=("net",)), image_shape=(2,))
    assert play.view().logits(play.view().reals).shape == (6,)


def test_an_unknown_place_is_answered_with_the_modules_that_there_are() -> None:
    with pytest.raises(
        GanlabError, match=r"reg\.dropout\.places: .* no module 'bdy'\. Did you mean 'body'\? .* features"
    ):
        Dropout(places=("bdy",), rates=(0.5,)).attach(toy_game())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rates": ()}, "rates must be a list of at least one number"),
        ({"rates": (1.0,)}, r"rates must be in \[0, 1\), got \(1.0,\)"),
        ({"rates": (-0.1,)}, r"in \[0, 1\)"),
        ({"rates": (0.1, 0.2), "places": ("a",)}, "rates must be one number, or one for each of the 1 places"),
        ({"rates": (0.1,), "places": ("a", "a")}, "places must name each place once"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dropout(**options)
