"""DiffAugment: arXiv:2006.10738."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.gradients import gradient
from support.rehearsals import DISCRIMINATOR, GENERATOR, Rehearsal
from torch import Tensor
from torch.testing import assert_close

from ganlab.augmentations.diff_augment import DiffAugment, cut, recolored, shifted
from ganlab.core.errors import GanlabError
from ganlab.regularizers.r1 import R1
from ganlab.testing import ToyDiscriminator, check_regularizer, toy_game

PUBLISHED = {
    name: torch.tensor(array)
    for name, array in np.load(Path(__file__).parent / "fixtures" / "diff_augment.npz").items()
}
IMAGES = PUBLISHED["images"]


def test_it_keeps_the_contract() -> None:
    (points,) = check_regularizer(DiffAugment())
    assert "augment=diff_augment changes images (C, H, W)" in points


def test_color_is_the_published_one() -> None:
    b, s, k = PUBLISHED["color draws"]
    assert_close(recolored(IMAGES, b - 0.5, 2 * s, k + 0.5), PUBLISHED["color"])


@pytest.mark.parametrize("share", ["0.125", "0.5"])
def test_translation_and_cutout_are_the_published_ones(share: str) -> None:
    assert_close(shifted(IMAGES, *PUBLISHED[f"translation {share} draws"].long()), PUBLISHED[f"translation {share}"])
    size = [int(side * float(share) + 0.5) for side in IMAGES.shape[2:]]
    assert_close(cut(IMAGES, *PUBLISHED[f"cutout {share} draws"].long(), *size), PUBLISHED[f"cutout {share}"])


def test_draws_have_the_published_ranges() -> None:
    """Brightness in [-1/2, 1/2), saturation in [0, 2), contrast in [1/2, 3/2), each uniform; all places occur."""
    play = Rehearsal(ToyDiscriminator((3, 4, 8)), DiffAugment(), image_shape=(3, 4, 8))
    count = 2000
    # pixel (c, i, j) of a picture that tells where a pixel was: no color change
    where = torch.arange(32.0).view(1, 1, 4, 8).expand(count, 3, 4, 8) + 1
    moved = DiffAugment(policy=("translation",), shift=0.5).images(where, "real", play.view())[:, 0]
    rows, columns = (moved[:, 0].amax(1) - 1).div(8).floor(), (moved.amax(1)[:, 0] - 1).remainder(8)
    assert set(rows[moved[:, 0].amax(1) > 0].tolist()) == {0, 1, 2}
    assert {0, 1, 2, 3, 4} == set(columns[moved.amax(1)[:, 0] > 0].tolist())
    holes = DiffAugment(policy=("cutout",)).images(where, "real", play.view())[:, 0] == 0
    assert set(holes.sum((1, 2)).tolist()) == {h * w for h in (1, 2) for w in (2, 3, 4)}
    flat = torch.zeros(count, 3, 1, 2)
    flat[:, 0, 0] = torch.tensor([1.0, -1.0])
    changed = DiffAugment(policy=("color",)).images(flat, "real", play.view())
    brightness = changed.mean((1, 2, 3))
    contrast = (changed.mean(1)[:, 0, 0] - brightness) * 3
    saturation = (changed[:, 0, 0, 0] - changed[:, 1, 0, 0]) / contrast
    for values, low, high in ((brightness, -0.5, 0.5), (saturation, 0.0, 2.0), (contrast, 0.5, 1.5)):
        assert low - 1e-5 <= values.min() < low + 0.02
        assert high - 0.02 < values.max() <= high + 1e-5
        assert abs(values.mean() - (low + high) / 2) < 5 * (high - low) / (12 * count) ** 0.5


def test_reals_and_fakes_are_changed_in_the_turns_of_both_players_with_masks_of_their_own() -> None:
    play = Rehearsal(ToyDiscriminator((3, 8, 8)), DiffAugment(), image_shape=(3, 8, 8))
    discriminator = play.discriminator
    view = play.view(DISCRIMINATOR)
    for points in (view.reals, view.fakes()):
        assert not torch.allclose(view.logits(points), discriminator(points.images))
    view = play.view(GENERATOR)
    fakes = view.fakes()
    assert not torch.allclose(view.logits(fakes), discriminator(fakes.images))
    view.logits(fakes).sum().backward()
    assert gradient(play.generator.linear.weight).any()
    same = torch.ones(2, 3, 8, 8, dtype=torch.float64)
    view = play.view()
    changed = [DiffAugment().images(same, role, view) for role in ("real", "fake", "real")]
    assert not any(torch.equal(a, b) for a, b in [changed[:2], changed[1:], changed[::2]])
    assert not torch.equal(changed[0][0], changed[0][1])


def test_a_part_of_the_policy_left_out_does_not_shift_the_draws_of_the_others() -> None:
    play = Rehearsal(ToyDiscriminator((3, 8, 8)), image_shape=(3, 8, 8))
    ones = torch.ones(4, 3, 8, 8)
    alone = DiffAugment(policy=("cutout",)).images(ones, "real", play.view())
    both = DiffAugment(policy=("color", "cutout")).images(ones, "real", play.view())
    assert torch.equal(alone == 0, both == 0)


def test_a_penalty_is_differentiated_through_it() -> None:
    play = Rehearsal(ToyDiscriminator((1, 4, 4)), DiffAugment(), R1(), image_shape=(1, 4, 4))
    weight = play.discriminator.body.weight

    def penalty(value: Tensor) -> Tensor:
        weight.data = value.data
        return play.term("r1")

    def gradient_at(at: Tensor) -> Tensor:
        weight.data = at.detach()
        return torch.autograd.grad(play.term("r1"), weight)[0]

    start, step = weight.detach().clone(), torch.zeros_like(weight)
    step.view(-1)[3] = 1e-6
    difference = (penalty(start + step) - penalty(start - step)) / 2e-6
    assert_close(gradient_at(start).view(-1)[3], difference.detach(), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": ("colour",)}, "policy must be one of color, translation, cutout, got 'colour'"),
        ({"policy": ()}, "policy must name at least one"),
        ({"policy": ("color", "color")}, "each once"),
        ({"shift": -0.1}, r"shift must be in \[0, 1\], got -0.1"),
        ({"hole": 1.5}, r"hole must be in \[0, 1\], got 1.5"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiffAugment(**options)


def test_points_are_refused() -> None:
    with pytest.raises(
        GanlabError, match=r"changes images \(C, H, W\) with 1 or 3 channels, and this game has samples"
    ):
        DiffAugment().attach(toy_game((2,)))
