"""Randomness is a function of a key."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.engine import BATCH, Engine, NormalizedDiscriminator, NormalizedGenerator, images

from ganlab.contracts.game import Game
from ganlab.contracts.hooks import Hooks
from ganlab.contracts.setting import Setting
from ganlab.contracts.turn import Turn
from ganlab.contracts.view import View
from ganlab.core import randomness
from ganlab.core.randomness import Stream, noise, using
from ganlab.games.standard import Standard
from ganlab.losses.non_saturating import NonSaturating
from ganlab.priors import Normal


def test_keys_depend_on_every_part_and_its_position() -> None:
    parts: list[tuple[int | str, ...]]
    parts = [(0, 64, 1, 0, "z", 0), (1, 64, 1, 0, "z", 0), (0, 65, 1, 0, "z", 0), (0, 64, 0, 1, "z", 0),
             (0, 64, 1, 1, "z", 0), (0, 64, 1, 0, "y", 0), (0, 64, 1, 0, "z", 1), (0, 6, 41, 0, "z", 0),
             ("0", 64, 1, 0, "z", 0)]  # fmt: skip
    keys = [randomness.key(*p) for p in parts]
    assert len(set(keys)) == len(parts)
    assert all(0 <= key < 2**63 for key in keys)


def test_a_new_purpose_does_not_shift_the_draws_of_another() -> None:
    plain, busy = Stream(0, 64, 1, 0), Stream(0, 64, 1, 0)
    first, second = plain.draw("latents", (4, 3)), plain.draw("latents", (4, 3))
    busy.draw("augmentation", (4, 100))
    assert torch.equal(busy.draw("latents", (4, 3)), first)
    busy.draw("labels", (4,), "uniform")
    assert torch.equal(busy.draw("latents", (4, 3)), second)
    assert not torch.equal(first, second)


def test_draws_have_the_moments_of_their_distribution() -> None:
    """Of 10⁶ numbers; five standard errors of each moment: N(0, 1) has E x⁴ = 3, U[0, 1) variance 1/12."""
    count = 10**6
    normal = Stream(0).draw("moments", (count,)).double()
    uniform = Stream(0).draw("moments", (count,), "uniform").double()
    error = 5 / count**0.5
    assert abs(normal.mean()) < error
    assert abs(normal.square().mean() - 1) < 2**0.5 * error
    assert abs(normal.pow(4).mean() - 3) < 96**0.5 * error
    assert abs(uniform.mean() - 1 / 2) < 12**-0.5 * error
    assert abs(uniform.var() - 1 / 12) < 180**-0.5 * error
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert Stream(0).draw("x", (2,)).dtype == torch.float32


def test_a_turn_leaves_torchs_generator_as_it_found_it_even_when_it_fails() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    with using(Stream(0)):
        inside = torch.rand(3)
        torch.nn.functional.dropout(torch.ones(5))
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(ZeroDivisionError), using(Stream(0)):
        torch.rand(3)
        raise ZeroDivisionError
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(4)
    with using(Stream(0)):
        assert torch.equal(torch.rand(3), inside), "what layers draw follows the key, not torch's state"


def test_layers_draw_noise_from_the_turn_and_outside_of_one_from_torch() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    with using(Stream(0, 1)):
        keyed = noise("noise", like, (4, 2))
        again = noise("noise", like, (4, 2))
        own = noise("noise at pixels", like, (4, 2), per_rank=True)
    assert torch.equal(keyed, Stream(0, 1).draw("noise", (4, 2)).double())
    assert not torch.equal(keyed, again)
    assert torch.equal(own, Stream(0, 1).draw_on_rank("noise at pixels", (4, 2)).double())
    torch.manual_seed(0)
    expected = torch.randn(4, 2, dtype=torch.float64)
    torch.manual_seed(0)
    assert torch.equal(noise("noise", like, (4, 2)), expected)


def test_inner_turns_return_to_the_outer_one() -> None:
    like = torch.zeros(1)
    with using(Stream(1)):
        with using(Stream(2)):
            noise("a", like, (1,))
        assert torch.equal(noise("a", like, (1,)), Stream(1).draw("a", (1,)))


def test_labels_of_fakes_have_the_shares_of_the_data() -> None:
    """Pearson's chi-square of 20,000 labels in 4 classes; 3 degrees of freedom, so 16.3 is passed with p = 0.001."""
    shares = torch.tensor([0.5, 0.3, 0.15, 0.05])
    count = 20_000
    labels = view(shares, count).fake_labels
    assert labels is not None
    assert labels.dtype == torch.int64
    found = torch.bincount(labels, minlength=4)
    expected = shares * count
    assert len(found) == 4
    assert ((found - expected).square() / expected).sum() < 16.3


def test_a_class_without_images_is_never_asked_for() -> None:
    labels = view(torch.tensor([0.0, 0.6, 0.0, 0.4, 0.0]), 5_000).fake_labels
    assert labels is not None
    assert sorted(set(labels.tolist())) == [1, 3]


def view(shares: torch.Tensor, count: int) -> View:
    game = Game()
    return View(
        game, Hooks(), Turn(("generator",)), Stream(0), Setting(Normal(), 3, label_shares=shares),
        reals=None, batch=count, iteration=0, images_seen=0,
    )  # fmt: skip


def test_every_draw_of_an_iteration_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[object, ...]] = []
    made = randomness.generator

    def drawing(device: Any, *parts: Any) -> torch.Generator:
        drawn.append(parts)
        return made(device, *parts)

    monkeypatch.setattr(randomness, "generator", drawing)
    game = Standard(
        generator=NormalizedGenerator(), discriminator=NormalizedDiscriminator(), loss=NonSaturating(),
        discriminator_steps=2,
    )  # fmt: skip
    engine = Engine(game, accumulate=2, mirror=True, dequantize=True)
    engine.play(images(), 2)
    latents = [parts for parts in drawn if "latents" in parts]
    assert len(latents) == len(set(latents)) == 2 * 3 * 2  # iterations, turns, micro-batches
    assert {parts[1] for parts in latents} == {0, 2 * BATCH}  # images seen before each iteration
    assert len(drawn) == len(set(drawn))
