"""Pixel norm, adaptive instance normalization and noise against loops, and their second derivatives."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from ganlab.core import distributed, randomness
from ganlab.layers.noise import NoiseInjection, noise_maps
from ganlab.layers.pixel_norm import pixel_norm
from ganlab.layers.style import AdaIN


@pytest.mark.parametrize("shape", [(3, 5), (2, 5, 2, 3)])
def test_pixel_norm_gives_every_position_a_mean_square_of_one(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape) * 7
    found = pixel_norm(x)
    torch.testing.assert_close(found.square().mean(1), torch.ones(shape[:1] + shape[2:]))
    torch.testing.assert_close(found / x, (found / x)[:, :1].expand(shape))
    eps = 0.5
    torch.testing.assert_close(pixel_norm(x, eps)[0, 0], x[0, 0] / (x[0].square().mean(0) + eps).sqrt())


def test_pixel_norm_has_first_and_second_derivatives_and_takes_its_mean_in_float32() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 2, 1, dtype=torch.float64, requires_grad=True)
    assert gradcheck(pixel_norm, (x,))
    assert gradgradcheck(pixel_norm, (x,))
    half = (torch.randn(2, 64, 2, 2) * 300).half()  # squares are beyond float16
    assert pixel_norm(half).dtype is torch.float16
    torch.testing.assert_close(pixel_norm(half).float(), pixel_norm(half.float()), rtol=2e-3, atol=2e-3)


def adain() -> AdaIN:
    torch.manual_seed(0)
    layer = AdaIN(3, 4)
    with torch.no_grad():
        layer.affine.bias.normal_()
    return layer


def test_adain_equals_a_loop_over_images_and_channels() -> None:
    layer = adain()
    x, w = torch.randn(2, 3, 4, 2) * 5 + 1, torch.randn(2, 4)
    found = layer(x, w)
    styles = w @ layer.affine.weight.T / 2 + layer.affine.bias  # gain 1, √fan-in 2
    for b in range(2):
        for c in range(3):
            values = x[b, c]
            mean = values.sum() / values.numel()
            variance = ((values - mean) ** 2).sum() / values.numel()
            expected = (values - mean) / (variance + 1e-8).sqrt() * (styles[b, c] + 1) + styles[b, 3 + c]
            torch.testing.assert_close(found[b, c], expected, rtol=1e-4, atol=1e-5)


def test_adain_has_first_and_second_derivatives_and_runs_under_autocast_and_in_channels_last() -> None:
    layer = adain()
    x, w = torch.randn(2, 3, 2, 2), torch.randn(2, 4)
    expected = layer(x, w)
    torch.testing.assert_close(layer(x.contiguous(memory_format=torch.channels_last), w), expected)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x.bfloat16(), w)
    assert found.dtype is torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.05)
    layer.double()
    inputs = (x.double().requires_grad_(), w.double().requires_grad_())
    assert gradcheck(layer, inputs)
    assert gradgradcheck(layer, inputs)


def test_noise_is_added_with_a_strength_a_channel_and_differentiated_twice() -> None:
    layer = NoiseInjection(3, (2, 2)).double()
    x = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(2, 1, 2, 2, dtype=torch.float64)
    assert torch.equal(layer(x, noise), x)  # strengths start at 0
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, -2.0, 0.5]))
    expected = torch.stack([x[:, 0] + noise[:, 0], x[:, 1] - 2 * noise[:, 0], x[:, 2] + noise[:, 0] / 2], 1)
    torch.testing.assert_close(layer(x, noise), expected)
    assert gradgradcheck(lambda x: layer(x, noise).pow(3), (x,))


def test_noise_is_drawn_once_for_all_layers_by_the_turns_key_and_the_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    layers, sizes, like = [NoiseInjection(1, (2, 2)), NoiseInjection(1, (4, 2))], [(2, 2), (4, 2)], torch.zeros(3, 1)

    def drawn() -> list[torch.Tensor]:
        with randomness.using(randomness.Stream(0, 1)):
            return noise_maps("random", like, layers, sizes)

    first, again = drawn(), drawn()
    assert [m.shape for m in first] == [(3, 1, 2, 2), (3, 1, 4, 2)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0][0], first[0][1])
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    assert not torch.equal(drawn()[0], first[0])


def test_noise_may_be_fixed_off_or_given() -> None:
    layers, sizes, like = [NoiseInjection(1, (2, 2)), NoiseInjection(1, (1, 2))], [(2, 2), (1, 2)], torch.zeros(3, 1)
    assert noise_maps("off", like, layers, sizes) == []
    fixed = noise_maps("fixed", like, layers, sizes)
    assert all(m is layer.fixed for m, layer in zip(fixed, layers, strict=True))
    given = torch.arange(6.0)[None]
    first, second = noise_maps(given, like, layers, sizes)
    assert torch.equal(first, torch.arange(4.0).view(1, 1, 2, 2))
    assert torch.equal(second, torch.tensor([4.0, 5.0]).view(1, 1, 1, 2))
    with pytest.raises(ValueError, match=r"expected noise of shape \(3 or 1, 6\), got \(2, 6\)"):
        noise_maps(torch.zeros(2, 6), like, layers, sizes)
    with pytest.raises(ValueError, match=r"one of random, fixed, off, got 'fix'\. Did you mean 'fixed'"):
        noise_maps("fix", like, layers, sizes)
