"""GAN-QP: arXiv:1811.07296. The author's own numbers are in tests/regularizers/test_authors.py."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ganlab.losses.gan_qp import GANQP
from ganlab.testing import check_loss


def images(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    return [torch.randn(3, 2, 2, 2, generator=random, dtype=torch.float64).to(dtype) for _ in range(2)]


def distance(x: Tensor, y: Tensor, kind: str) -> float:
    d = [(a - b).item() for a, b in zip(x.flatten(), y.flatten(), strict=True)]
    return sum(map(abs, d)) / len(d) if kind == "l1" else math.sqrt(sum(e * e for e in d) / len(d))


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_it_keeps_the_contract(kind: str) -> None:
    check_loss(GANQP(distance=kind))


@pytest.mark.parametrize("kind", ["l1", "l2"])
@pytest.mark.parametrize("scale", [0.5, 10.0])
def test_it_equals_a_loop_over_pairs(kind: str, scale: float) -> None:
    real, fake = [30.0, -1.0, 0.2], [-30.0, 0.5, 1.0]
    x, y = images()
    logits = {"real_logits": torch.tensor(real).double(), "fake_logits": torch.tensor(fake).double()}
    loss = GANQP(distance=kind, scale=scale)
    expected = 0.0
    for i in range(3):
        t = real[i] - fake[i]
        expected += (t * t / (2 * scale * distance(x[i], y[i], kind)) - t) / 3
    assert_close(loss.discriminator(**logits, real_images=x, fake_images=y).item(), expected)
    assert_close(loss.generator(**logits).item(), sum(r - f for r, f in zip(real, fake, strict=True)) / 3)
    assert_close(loss.generator(fake_logits=logits["fake_logits"]).item(), -sum(fake) / 3)


def test_the_best_difference_is_the_scaled_distance() -> None:
    """d/dt (t^2 / (2 λ d) - t) = 0 at t = λ d, where the loss is -λ d / 2: minus half the scaled distance."""
    x, y = images()
    t = torch.tensor([4 * distance(x[i], y[i], "l1") for i in range(3)]).double().requires_grad_()
    value = GANQP(scale=4.0).discriminator(real_logits=t, fake_logits=0 * t, real_images=x, fake_images=y)
    assert_close(torch.autograd.grad(value, t)[0], torch.zeros(3).double(), atol=1e-6, rtol=0)
    assert_close(value.item(), -t.mean().item() / 2)


def test_equal_images_and_narrow_dtypes_do_no_harm() -> None:
    x, _ = images(torch.bfloat16)
    real = torch.randn(3, requires_grad=True)
    value = GANQP().discriminator(real_logits=real, fake_logits=torch.zeros(3), real_images=x, fake_images=x.float())
    (slope,) = torch.autograd.grad(value, real)
    assert value.isfinite()
    assert_close(slope, torch.full((3,), -1 / 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"distance": "l3"}, "distance must be one of l1, l2"), ({"scale": 0.0}, "scale must be finite and positive")],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GANQP(**options)


def test_different_numbers_of_images_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match=r"as many real as fake logits to pair them, got \(2,\) and \(3,\)"):
        GANQP().generator(real_logits=torch.zeros(2), fake_logits=torch.zeros(3))
