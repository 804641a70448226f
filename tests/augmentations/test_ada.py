"""Adaptive discriminator augmentation: arXiv:2006.06676."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.engine import Engine, NormalizedDiscriminator, NormalizedGenerator, images
from support.gradients import gradient
from support.rehearsals import GENERATOR, Rehearsal
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F
from torch.testing import assert_close

from ganlab.augmentations.ada import ADA, NORMALS, POLICIES, TRANSFORMS, UNIFORMS, drawn, moved_probability
from ganlab.augmentations.images import reflected
from ganlab.augmentations.transforms import filter_bank, transformed
from ganlab.augmentations.warp import SYM6
from ganlab.contracts.plan import Progress
from ganlab.core.errors import GanlabError
from ganlab.games.standard import Standard
from ganlab.losses.non_saturating import NonSaturating
from ganlab.regularizers.r1 import R1
from ganlab.testing import ToyDiscriminator, check_regularizer, toy_game

PUBLISHED = {
    name: torch.tensor(array) for name, array in np.load(Path(__file__).parent / "fixtures" / "ada.npz").items()
}
OUTPUTS = [name for name in PUBLISHED if " at " in name]


def parameters_at(percentile: float, noise: Tensor) -> dict[str, Tensor]:
    """Return the numbers that ``debug_percentile`` sets.

    A normal variable is its standard deviation times erfinv(2 percentile - 1), the second rotation none, and the
    noise's deviation 0.1 erfinv(percentile).
    """
    q, e = percentile, torch.erfinv(torch.tensor(2 * percentile - 1)).item()
    sigma = 0.1 * torch.erfinv(torch.tensor(percentile)).item()
    angle = (2 * q - 1) * math.pi
    numbers = {
        "xflip": math.floor(2 * q),
        "rotate90": math.floor(4 * q),
        "xint": [(2 * q - 1) * 0.125] * 2,
        "scale": 2 ** (0.2 * e),
        "rotate": [angle, 0.0],
        "aniso": 2 ** (0.2 * e),
        "xfrac": [0.125 * e] * 2,
        "brightness": 0.2 * e,
        "contrast": 2 ** (0.5 * e),
        "lumaflip": math.floor(2 * q),
        "hue": angle,
        "saturation": 2**e,
        "imgfilter": [2**e] * 4,
        "noise": [sigma, *noise.flatten().tolist()],
        "cutout": [0.5, q, q],
    }
    return {name: torch.tensor([value], dtype=torch.float32) for name, value in numbers.items()}


def test_it_keeps_the_contract() -> None:
    (points,) = check_regularizer(ADA(policy="bgcfnc", p=0.7))
    assert "augment=ada changes images (C, H, W)" in points


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_transformation_and_policy_is_the_published_one_at_fixed_parameters(name: str) -> None:
    what, percentile = name.split(" at ")
    image = PUBLISHED["image"]
    if what.startswith("grey "):
        what, image = what.removeprefix("grey "), image.mean(1, keepdim=True)
    if what == "imgfilter":
        image = F.interpolate(image, (24, 22), mode="bilinear")
    fixed = parameters_at(float(percentile), PUBLISHED["noise"])
    names = [what] if what in fixed else POLICIES[what]
    parameters = {n: fixed[n] for n in names}
    for fixed_margins in (False, True):
        found = transformed(image, parameters, fixed_margins=fixed_margins)
        assert_close(found, PUBLISHED[name], rtol=1e-5, atol=1e-5)


def test_filters_are_the_published_ones_and_orthogonal() -> None:
    """Shifts by two of a wavelet's filter are orthonormal; its alternating moments up to the fifth vanish; together
    the bands leave an image as it is."""
    assert_close(torch.tensor(filter_bank()), PUBLISHED["filters"])
    assert_close(torch.tensor(SYM6) / sum(SYM6), PUBLISHED["geometry filter"])
    taps = torch.tensor(SYM6, dtype=torch.float64)
    for shift in range(0, 12, 2):
        assert_close((taps[shift:] * taps[: 12 - shift]).sum().item(), float(shift == 0), atol=1e-9, rtol=0)
    place = torch.arange(12, dtype=torch.float64) - 5.5
    for moment in range(6):
        assert abs((taps * (-1) ** torch.arange(12) * place**moment).sum().item()) < 1e-6 * 12.0**moment
    whole = torch.tensor(filter_bank(), dtype=torch.float64).sum(0)
    assert_close(whole, F.pad(torch.ones(1, dtype=torch.float64), (21, 21)))


def test_images_of_a_batch_do_not_see_each_others_parameters() -> None:
    random = torch.Generator().manual_seed(3)
    uniform = torch.rand(4, UNIFORMS, generator=random, dtype=torch.float64)
    normal = torch.randn(4, NORMALS, generator=random, dtype=torch.float64)
    batch = torch.randn(4, 3, 9, 7, generator=random, dtype=torch.float64)
    noise = torch.randn(4, 3 * 9 * 7, generator=random, dtype=torch.float64)
    parameters = drawn(uniform, normal, torch.tensor(0.7), dict.fromkeys(TRANSFORMS, 1.0))
    parameters["noise"] = torch.cat([parameters["noise"][:, None], noise], 1)
    together = transformed(batch, parameters)
    for i in range(4):
        assert_close(transformed(batch[i : i + 1], {n: v[i : i + 1] for n, v in parameters.items()})[0], together[i])


def test_with_probability_zero_images_stay_and_geometry_only_filters_them() -> None:
    """The wavelet's filters of doubling and halving are a perfect reconstruction."""
    batch = torch.randn(3, 3, 10, 8, dtype=torch.float64)
    zeros = torch.zeros(3, UNIFORMS, dtype=torch.float64), torch.ones(3, NORMALS, dtype=torch.float64)
    parameters = drawn(*zeros, torch.tensor(0.0), dict.fromkeys(TRANSFORMS, 1.0))
    del parameters["noise"]
    assert_close(transformed(batch, parameters), batch, atol=1e-7, rtol=1e-7)


def test_draws_have_the_published_distributions() -> None:
    count, p = 20000, 0.3
    random = torch.Generator().manual_seed(0)
    uniform, normal = torch.rand(count, UNIFORMS, generator=random), torch.randn(count, NORMALS, generator=random)
    multipliers = {**dict.fromkeys(TRANSFORMS, 1.0), "hue": 0.5}
    found = drawn(uniform, normal, torch.tensor(p), multipliers)

    def near(value: Tensor, expected: float, std: float) -> None:
        assert abs(float(value) - expected) < 5 * std / count**0.5, (float(value), expected)

    applied = {  # share of images that change, in terms of p
        "xflip": (found["xflip"] == 1, p / 2),
        "rotate90": (found["rotate90"] > 0, p * 3 / 4),
        "rotate": ((found["rotate"] != 0).any(1), p),
        "rotate before": (found["rotate"][:, 0] != 0, 1 - (1 - p) ** 0.5),
        "lumaflip": (found["lumaflip"] == 1, p / 2),
        "hue": (found["hue"] != 0, p / 2),
        "any band": ((found["imgfilter"] != 1).any(1), 1 - (1 - p) ** 4),
        "cutout": (found["cutout"][:, 0] == 0.5, p),
        **{n: (found[n] != 1, p) for n in ("scale", "aniso", "contrast", "saturation")},
        **{n: (found[n] != 0, p) for n in ("brightness", "noise")},
        **{n: ((found[n] != 0).any(1), p) for n in ("xint", "xfrac")},
    }
    for changed, share in applied.values():
        near(changed.float().mean(), share, 0.5)
    always = drawn(uniform, normal, torch.tensor(1.0), multipliers)
    for name, std in (("scale", 0.2), ("aniso", 0.2), ("contrast", 0.5), ("saturation", 1.0)):
        near(always[name].log2().std() / std, 1.0, 1.0)
    near(always["brightness"].std() / 0.2, 1.0, 1.0)
    near(always["xfrac"].std() / 0.125, 1.0, 1.0)
    near(always["noise"].square().mean().sqrt() / 0.1, 1.0, 1.0)
    near(always["imgfilter"].log2().std(), 1.0, 1.0)
    for values, most in ((always["xint"], 0.125), (always["rotate"], math.pi)):
        assert most * 0.99 < values.abs().max() <= most
        near(values.square().mean() / (most**2 / 3), 1.0, 1.0)


@pytest.mark.parametrize("policy", ["bgcfnc"])
def test_it_is_differentiable_twice(policy: str) -> None:
    random = torch.Generator().manual_seed(0)
    uniform, normal = torch.rand(1, UNIFORMS, generator=random), torch.randn(1, NORMALS, generator=random)
    parameters = drawn(uniform.double(), normal.double(), torch.tensor(1.0), dict.fromkeys(POLICIES[policy], 1.0))
    parameters["noise"] = torch.cat([parameters["noise"][:, None], torch.randn(1, 48, dtype=torch.float64)], 1)
    image = torch.randn(1, 3, 4, 4, dtype=torch.float64, generator=random).requires_grad_()

    def curved(x: Tensor) -> Tensor:
        return transformed(x.tanh(), parameters).square()

    assert gradcheck(curved, image, fast_mode=True)
    assert gradgradcheck(curved, image, fast_mode=True)


def test_mirroring_goes_on_as_often_as_it_takes() -> None:
    image = torch.arange(6.0).view(1, 1, 2, 3)
    assert_close(reflected(image, 1, 2, 1, 0), F.pad(image, (1, 2, 1, 0), mode="reflect"))
    assert reflected(image, 4, 5, 0, 0)[0, 0, 0].tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]
    assert reflected(image[..., :1], 1, 2, 0, 0)[0, 0, 1].tolist() == [3] * 4


def test_the_probability_moves_as_the_published_controller_moves_it() -> None:
    """Their loop on a series of logits: batches of 8, every 4 iterations, target 0.6, half a kimg; below 0 never."""
    logits, published = PUBLISHED["logits"], PUBLISHED["p"]
    ada = ADA(policy="color", kimg=0.5)
    play = Rehearsal(ToyDiscriminator((1, 4, 4)), ada, image_shape=(1, 4, 4), dtype=torch.float32)
    found = []
    for iteration, of_iteration in enumerate([*logits, logits[0]]):
        view = play.view()
        ada.before_iteration(Progress(iteration, 8 * iteration))
        if iteration:
            found.append(ada.adapted.clone())
        view._cache["logits", view.reals] = of_iteration
        ada.terms("discriminator", view)
    assert_close(torch.stack(found), published)
    assert published.max() > 0
    assert published[-1] == 0


def test_the_probability_stays_at_the_target_and_never_falls_below_zero() -> None:
    p, images_shown = torch.tensor(0.1), torch.tensor(1000)
    assert moved_probability(p, torch.tensor(0.6), 0.6, images_shown, 500.0) == p
    assert_close(moved_probability(p, torch.tensor(0.7), 0.6, images_shown, 500.0), p + 0.002)
    assert_close(moved_probability(p, torch.tensor(-1.0), 0.6, images_shown, 500.0), p - 0.002)
    assert moved_probability(p, torch.tensor(0.0), 0.6, images_shown, 1.0) == 0


def played(iterations: int, *, stopped: Engine | None = None, **options: Any) -> tuple[Engine, ADA]:
    """A game of two turns of 8 images an iteration, that goes on where ``stopped`` was if there is one."""
    torch.manual_seed(0)
    game = Standard(
        generator=NormalizedGenerator(), discriminator=NormalizedDiscriminator(), loss=NonSaturating(),
        discriminator_steps=2,
    )  # fmt: skip
    ada = ADA(policy="bgc", p=0.4, interval_steps=2, kimg=0.1, **options)
    engine = Engine(game, {"augment": ada}, rate=0.1)
    if stopped is not None:
        checkpoint: dict[str, Any] = {}
        stopped.module.on_save_checkpoint(checkpoint)
        engine.module.load_state_dict(stopped.module.state_dict())
        engine.module.on_load_checkpoint(checkpoint)
    engine.play(images(), iterations)
    return engine, ada


def test_a_resumed_run_goes_on_between_two_changes_of_the_probability() -> None:
    """Iteration 3 changes p by signs of iterations 1 and 2; the run is stopped after 1 and 3 iterations."""
    whole, ada = played(5)
    assert ada.adapted != 0.4
    for stop in (1, 3):
        first, _ = played(stop)
        second, resumed = played(5 - stop, stopped=first)
        assert torch.equal(second.weights(), whole.weights())
        assert torch.equal(resumed.adapted, ada.adapted)


def test_the_probability_is_that_of_images_shown_in_the_discriminators_turns() -> None:
    """Two turns of 8 images an iteration, changes every 2 iterations of 0.1 kimg: steps of 32/100."""
    _, ada = played(3, target=-1.0)
    assert_close(ada.adapted.item(), 0.4 + 0.32)
    assert ada.since == 32
    _, held = played(3, target=None)
    assert_close(held.adapted.item(), 0.4)
    assert not held.signs.any()


def test_reals_and_fakes_pass_the_pipe_in_both_turns_and_r1_is_that_of_the_images_before() -> None:
    play = Rehearsal(ToyDiscriminator((3, 8, 8)), ADA(p=0.9), R1(), image_shape=(3, 8, 8))
    discriminator = play.discriminator
    view = play.view()
    for points in (view.reals, view.fakes()):
        assert not torch.allclose(view.logits(points), discriminator(points.images))
    slope = view.input_gradient(view.reals)
    (plain,) = torch.autograd.grad(discriminator(view.reals.images).sum(), view.reals.images)
    assert not torch.allclose(slope, plain)
    view = play.view(GENERATOR)
    assert not torch.allclose(view.logits(view.fakes()), discriminator(view.fakes().images))
    view.logits(view.fakes()).sum().backward()
    assert gradient(play.generator.linear.weight).any()


def test_multipliers_add_and_remove_transformations() -> None:
    assert set(ADA(policy="bg", multipliers={"cutout": 0.5, "xflip": 0.0}).multipliers) == {
        "rotate90", "xint", "scale", "rotate", "aniso", "xfrac", "cutout",
    }  # fmt: skip
    assert ADA(multipliers={"hue": 0.5}).multipliers["hue"] == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "bgz"}, "policy must be one of blit, .*, got 'bgz'"),
        ({"multipliers": {"hu": 1.0}}, "multipliers: no transformation is called 'hu'. Did you mean 'hue'"),
        ({"multipliers": {"hue": -1.0}}, "multipliers.hue must be finite and at least 0"),
        ({"p": 1.5}, r"p must be in \[0, 1\], got 1.5"),
        ({"target": 2.0}, r"target must be in \[-1, 1\], got 2"),
        ({"interval_steps": 0}, "interval_steps must be at least 1"),
        ({"kimg": 0.0}, "kimg must be finite and positive"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ADA(**options)


def test_points_are_refused() -> None:
    with pytest.raises(GanlabError, match="this game has samples of shape"):
        ADA().attach(toy_game((2,)))


def test_x_goes_to_the_right_and_y_down() -> None:
    image = torch.rand(1, 1, 8, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 1
    for name in ("xint", "xfrac"):
        right = transformed(image, {name: torch.tensor([[0.25, 0.0]]).double()})
        assert_close(right[..., 3:], image[..., :-3], atol=1e-6, rtol=0)
        down = transformed(image, {name: torch.tensor([[0.0, 0.25]]).double()})
        assert_close(down[:, :, 2:], image[:, :, :-2], atol=1e-6, rtol=0)
    hole = transformed(image, {"cutout": torch.tensor([[0.5, 0.25, 0.5]]).double()}) == 0
    assert hole[0, 0, 2:6, :6].all()
    assert hole.sum() == 24
