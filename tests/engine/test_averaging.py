"""The moving average against its formula; what is averaged and what is copied."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganlab.engine.averaging import Average
from ganlab.layers import spectral_norm


def moved(network: nn.Module, seed: int) -> None:
    """Other weights, as an optimizer would leave them: changed in place."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=random))


def test_an_average_follows_its_formula_by_hand() -> None:
    """b = 2^(-images / half-life); in float64 by a loop."""
    network = nn.Linear(3, 2).double()
    average = Average({"g": network}, half_life_kimg=0.05, ramp_up=None)
    expected = network.weight.detach().clone()
    b = 2 ** (-16 / 50)
    for step in range(5):
        moved(network, step)
        average.follow(16 * step, 16)
        expected = b * expected + (1 - b) * network.weight.detach()
        assert_close(average["g"].get_parameter("weight").detach(), expected)


def test_after_a_half_life_half_of_the_way_is_gone() -> None:
    average = Average({}, half_life_kimg=2.0, ramp_up=None)
    b = 1.0
    for _ in range(125):
        b *= average.decay(10_000, 16)
    assert b == pytest.approx(0.5)


def test_the_ramp_up_bounds_the_half_life_by_a_share_of_the_images_seen() -> None:
    """StyleGAN2-ADA's training loop: half-life = min(half-life, images seen x ramp-up)."""
    average = Average({}, half_life_kimg=10.0, ramp_up=0.05)
    assert average.decay(0, 64) == 0
    assert average.decay(1000, 64) == pytest.approx(0.5 ** (64 / 50))
    assert average.decay(1_000_000, 64) == pytest.approx(0.5 ** (64 / 10_000))


@pytest.mark.parametrize(("options", "images"), [({"half_life_kimg": 0.0}, 10**6), ({"start_kimg": 2.0}, 1999)])
def test_without_averaging_and_before_the_start_it_is_a_copy(options: dict[str, Any], images: int) -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = Average({"g": network}, **options)
    moved(network, 1)
    average.follow(images, 16)
    for (name, mine), theirs in zip(average["g"].state_dict().items(), network.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name
    moved(network, 2)
    average.follow(2000, 16)
    copies = torch.equal(average["g"].get_parameter("0.weight"), network.get_parameter("0.weight"))
    assert copies == ("half_life_kimg" in options)


def test_batch_norm_statistics_are_averaged_and_every_other_buffer_is_copied() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(2)
            self.register_buffer("alpha", torch.zeros(3))
            self.register_buffer("not_saved", torch.zeros(1), persistent=False)

    network = Network()
    average = Average({"g": network}, half_life_kimg=0.016, ramp_up=None)  # b = 1/2 for 16 images
    moved(network, 0)
    network.get_buffer("norm.num_batches_tracked").fill_(7)
    before = {name: tensor.clone() for name, tensor in average["g"].named_buffers()}
    average.follow(0, 16)
    for name in ("norm.running_mean", "norm.running_var"):
        theirs = network.get_buffer(name)
        assert_close(average["g"].get_buffer(name), (before[name] + theirs) / 2)
        assert (theirs - before[name]).abs().max() > 0.1
    for name in ("alpha", "not_saved", "norm.num_batches_tracked"):
        assert torch.equal(average["g"].get_buffer(name), network.get_buffer(name))


def test_spectral_norm_vectors_are_copied_and_stay_unit_vectors() -> None:
    """An averaged vector is none, and the averaged network explodes (docs/frameworks.md)."""
    network = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
    spectral_norm.attach(network)
    average = Average({"g": network}, half_life_kimg=0.1, ramp_up=None)
    vectors = [name for name, _ in network.named_buffers() if name.endswith(".u")]
    assert len(vectors) == 2
    start = [network.get_buffer(name).clone() for name in vectors]
    for step in range(6):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step)))
        spectral_norm.power_iterate(spectral_norm.attached(network))
        average.follow(16 * step, 16)
    for name, first in zip(vectors, start, strict=True):
        assert (network.get_buffer(name) - first).abs().max() > 0.1
        assert torch.equal(average["g"].get_buffer(name), network.get_buffer(name))
        assert_close(average["g"].get_buffer(name).norm(), torch.tensor(1.0))


def test_averages_stay_in_evaluation_mode_and_need_no_gradients() -> None:
    average = Average({"g": nn.Linear(2, 2)})
    average.train()
    assert not average["g"].training
    assert not any(p.requires_grad for p in average.parameters())


def test_an_average_survives_a_change_of_dtype() -> None:
    """Moving a module gives its buffers new tensors."""
    network = nn.BatchNorm1d(2)
    average = Average({"g": network}, half_life_kimg=0)
    average.follow(0, 1)
    network.double()
    average.double()
    moved(network, 0)
    average.follow(0, 1)
    assert torch.equal(average["g"].get_buffer("running_mean"), network.get_buffer("running_mean"))


@pytest.mark.parametrize("option", ["half_life_kimg", "ramp_up", "start_kimg"])
def test_a_negative_number_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} must be finite and at least 0, got -1"):
        Average({}, **{option: -1.0})


def test_a_half_life_in_iterations_does_not_mind_the_batch() -> None:
    average = Average({}, half_life_steps=692.8, ramp_up=None)
    assert average.decay(10**6, 512) == average.decay(10**6, 16) == pytest.approx(0.999, abs=1e-6)
