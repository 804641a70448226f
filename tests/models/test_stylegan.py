"""StyleGAN's styles: mixing, the mean of w, truncation and noise."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from ganlab.core import randomness
from ganlab.layers import state
from ganlab.models import stylegan


def build(**options: Any) -> stylegan.Generator:
    torch.manual_seed(0)
    given: dict[str, Any] = {
        "latent_dim": 8,
        "w_dim": 6,
        "mapping_width": 5,
        "mapping_layers": 2,
        "width": 64,
        "max_width": 4,
    }
    generator = stylegan.Generator(32, **{**given, **options})
    with torch.no_grad():
        generator.w_avg.normal_()
        for layer in generator.synthesis.noises:
            layer.get_parameter("weight").normal_()
    return generator


def test_an_image_is_the_synthesis_of_the_styles_of_its_w() -> None:
    generator = build().eval()
    z = torch.randn(3, 8)
    assert generator.num_ws == 8
    assert [generator.num_ws_at(level) for level in range(4)] == [2, 4, 6, 8]
    with torch.no_grad():
        w = generator.mapping(z)
        assert w.shape == (3, 6)
        ws = generator.styles(w, psi=0.7, cutoff=3)
        assert ws.shape == (3, 8, 6)
        assert torch.equal(generator.synthesis(ws, "fixed"), generator(z, psi=0.7, cutoff=3, noise="fixed"))
        generator.set_stage(1, 1.0)
        assert torch.equal(generator.synthesis(ws[:, :4], "fixed"), generator.synthesis(ws, "fixed"))


def test_truncation_moves_the_first_layers_towards_the_mean_of_w() -> None:
    """w_avg + ψ·(w − w_avg) for layers below the cutoff, w for the others."""
    generator = build()
    w = torch.randn(3, 6)
    for psi in (0.7, 0.0, -1.0):
        ws = generator.styles(w, psi, 3)
        expected = generator.w_avg + psi * (w - generator.w_avg)
        torch.testing.assert_close(ws[:, :3], expected[:, None].expand(-1, 3, -1))
        assert torch.equal(ws[:, 3:], w[:, None].expand(-1, 5, -1))
        torch.testing.assert_close(generator.styles(w, psi), expected[:, None].expand(-1, 8, -1))
    assert torch.equal(generator.styles(w), w[:, None].expand(-1, 8, -1))


def test_training_tracks_the_mean_of_w_where_state_moves() -> None:
    generator = build(w_avg_beta=0.9)
    z, before = torch.randn(5, 8), generator.w_avg.clone()
    for moves, training in ((False, True), (True, False)):
        generator.train(training)
        with state.passing(moves=moves):
            generator(z)
        assert torch.equal(generator.w_avg, before)
    generator.train()
    generator(z)
    torch.testing.assert_close(generator.w_avg, 0.9 * before + 0.1 * generator.mapping(z).mean(0).detach())


def mixed(generator: stylegan.Generator, count: int, batch: int = 4) -> torch.Tensor:
    """(count, batch): the first layer that has another style than the first one, num_ws for none."""
    found = []
    with torch.no_grad():
        w = generator.mapping(torch.randn(batch, 8))
        for i in range(count):
            with randomness.using(randomness.Stream(0, i)):
                latents, crossover = generator._draw_mixing(batch)
            ws = generator._mixed(w, generator.mapping(latents), crossover)
            assert torch.equal(ws[:, 0], w)
            mine = (ws == w[:, None]).all(2)
            found.append(mine.sum(1))
            assert torch.equal(mine.cumprod(1), mine.long())  # once another, always another
    return torch.stack(found)


@pytest.mark.parametrize("level", [3, 0])
@pytest.mark.parametrize("crossover", ["batch", "sample"])
def test_layers_from_a_uniform_one_on_get_another_style_with_the_given_probability(crossover: str, level: int) -> None:
    generator = build(crossover=crossover, style_mixing=0.9)
    generator.set_stage(level, 1.0)
    layers, count = 2 * (level + 1), 600
    found = mixed(generator, count)
    one = (found == found[:, :1]).all(1)
    assert bool(one.all()) == (crossover == "batch")
    firsts = (found[:, 0] if crossover == "batch" else found.flatten()).bincount(minlength=layers + 1)
    assert firsts[0] == 0
    share = firsts / firsts.sum()
    expected = torch.tensor([0.0, *[0.9 / (layers - 1)] * (layers - 1), 0.1])
    assert (share - expected).abs().max() < 4.5 * (0.25 / float(firsts.sum())) ** 0.5


def test_mixing_can_be_turned_off_and_is_off_in_evaluation() -> None:
    generator = build(style_mixing=0.0)
    z = torch.randn(3, 8)
    with torch.no_grad(), state.passing(moves=False):
        off = generator.synthesis(generator.styles(generator.mapping(z)), "fixed")
        assert torch.equal(generator(z, noise="fixed"), off)
        generator.style_mixing = 1.0
        assert not torch.equal(generator(z, noise="fixed"), off)
        assert torch.equal(generator.eval()(z, noise="fixed"), off)


def test_noise_is_random_fixed_off_or_given() -> None:
    generator = build().eval()
    z = torch.randn(2, 8)
    with torch.no_grad():
        images = {mode: generator(z, noise=mode) for mode in ("random", "fixed", "off")}
        assert not torch.equal(generator(z), images["random"])
        for mode in ("fixed", "off"):
            assert torch.equal(generator(z, noise=mode), images[mode])
        assert not torch.equal(images["fixed"], images["off"])
        positions = 2 * (16 + 64 + 256 + 1024)
        assert generator.synthesis.noise_positions == positions
        numbers = torch.cat([layer.get_buffer("fixed").flatten() for layer in generator.synthesis.noises])[None]
        torch.testing.assert_close(generator(z, noise=numbers), images["fixed"])
        rows = torch.randn(2, positions)
        torch.testing.assert_close(generator(z, noise=rows)[1:], generator(z[1:], noise=rows[1:]))
        generator.set_stage(1, 1.0)
        assert generator.synthesis.noise_positions == 2 * (16 + 64)
        bare = build(noise=False).eval()
        assert torch.equal(bare(z), bare(z, noise="fixed"))
        assert bare.synthesis.noise_positions == 0


def test_what_cannot_be_is_refused_in_one_sentence() -> None:
    generator = build()
    z = torch.randn(2, 8)
    for call, sentence in (
        (lambda: generator(z, psi=0.5), r"expected psi to be 1 in training, got 0\.5"),
        (lambda: generator.eval()(z, psi=float("nan")), "expected psi to be a finite number, got nan"),
        (lambda: generator(z, psi=0.5, cutoff=9), "expected cutoff to be 0 to 8, the number of layers, got 9"),
        (lambda: generator(z, noise="none"), "noise must be one of random, fixed, off"),
        (lambda: generator.synthesis(torch.zeros(2, 7, 6)), r"shape \(batch, 8 or more, 6\), got \(2, 7, 6\)"),
        (lambda: generator(torch.zeros(2, 7)), r"expected latents of shape \(batch, 8\), got \(2, 7\)"),
        (lambda: build(style_mixing=1.5), r"style_mixing must be in \[0, 1\], got 1\.5"),
        (lambda: build(w_avg_beta=-1.0), r"w_avg_beta must be in \[0, 1\], got -1\.0"),
        (lambda: build(crossover="image"), "crossover must be one of batch, sample, got 'image'"),
        (lambda: build(mapping_layers=0), "mapping_layers must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=sentence):
            call()


@pytest.mark.slow
def test_compiled_in_training_it_draws_by_the_key_and_is_built_once() -> None:
    torch._dynamo.reset()
    generator = build()
    plain, counter, z = copy.deepcopy(generator), CompileCounterWithBackend("aot_eager"), torch.randn(4, 8)
    generator.compile(backend=counter)
    for key in range(3):
        made = []
        for network in (generator, plain):
            with randomness.using(randomness.Stream(0, key)):
                made.append(network(z))
        torch.testing.assert_close(*made)
        torch.testing.assert_close(generator.w_avg, plain.w_avg)
    assert counter.frame_count == 1
