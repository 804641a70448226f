"""Batch normalization against torch's own, loops written from the formula, and two imagined ranks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from ganlab.core import distributed
from ganlab.layers import state
from ganlab.layers.norm import BatchNorm, ConditionalBatchNorm, standing_statistics

LAYOUTS = pytest.mark.parametrize(
    "layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"]
)


def pair(**options: Any) -> tuple[BatchNorm, nn.BatchNorm2d]:
    ours, torchs = BatchNorm(5, **options), nn.BatchNorm2d(5)
    with torch.no_grad():
        for tensor in ours.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 2)
    torchs.load_state_dict(ours.state_dict())
    return ours, torchs


@LAYOUTS
def test_it_equals_torchs_and_so_do_its_running_statistics(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    ours, torchs = pair()
    for _ in range(3):
        x = torch.randn(4, 5, 3, 2).contiguous(memory_format=layout)
        torch.testing.assert_close(ours(x), torchs(x))
    for (name, a), (other, b) in zip(ours.state_dict().items(), torchs.state_dict().items(), strict=True):
        assert name == other
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(ours.eval()(x), torchs.eval()(x))


def test_points_are_normalized_over_the_batch() -> None:
    ours, torchs = BatchNorm(5), nn.BatchNorm1d(5)
    x = torch.randn(8, 5)
    torch.testing.assert_close(ours(x), torchs(x))
    torch.testing.assert_close(ours.running_var, torchs.running_var)


def test_biased_storage_differs_by_n_minus_1_over_n() -> None:
    """running = 0.9·1 + 0.1·σ² with σ² = Σ(x − μ)²/n."""
    x = torch.randn(2, 3, 2, 2)
    norm = BatchNorm(3, stored_variance="biased")
    norm(x)
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * x.var((0, 2, 3), correction=0))
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean((0, 2, 3)))


def test_statistics_do_not_move_where_state_does_not() -> None:
    ours, torchs = pair()
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    x = torch.randn(4, 5, 3, 2)
    with state.passing(moves=False):
        torch.testing.assert_close(ours(x), torchs(x))
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("stored", ["unbiased", "biased"])
def test_statistics_across_ranks_are_those_of_the_whole_batch(
    affine: bool, stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of three ranks has its share of twelve images, and gathers what the others would send."""
    torch.manual_seed(0)
    whole = torch.randn(12, 5, 2, 3) * 3 + 1
    single = BatchNorm(5, affine=affine, stored_variance=stored)
    expected = single(whole)
    shares = whole.chunk(3)
    sent = torch.stack([torch.stack([s.mean((0, 2, 3)), s.var((0, 2, 3), correction=0)]) for s in shares])
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    monkeypatch.setattr(distributed, "gather", lambda own: sent)
    for share, want in zip(shares, expected.chunk(3), strict=True):
        norm = BatchNorm(5, affine=affine, stored_variance=stored)
        torch.testing.assert_close(norm(share), want, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(norm.running_mean, single.running_mean)
        torch.testing.assert_close(norm.running_var, single.running_var)
    own = BatchNorm(5, affine=affine, across_ranks=False)
    torch.testing.assert_close(own(shares[0]), BatchNorm(5, affine=affine, across_ranks=False)(shares[0]))
    assert not torch.allclose(own(shares[0]), expected.chunk(3)[0], atol=1e-3)


def test_the_path_across_ranks_has_the_gradients_of_the_native_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    norm = BatchNorm(3).double()
    direction = torch.randn_like(x)
    leaves = (x, norm.weight, norm.bias)
    native = torch.autograd.grad((norm(x) * direction).sum(), leaves)
    # two ranks with the same images: the whole batch is the same one twice
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "gather", lambda own: torch.cat([own, own]))
    monkeypatch.setattr(distributed, "mean", lambda own: own)
    for again in (False, True):  # by torch's kernels, and by operations that can be differentiated
        across = torch.autograd.grad((norm(x) * direction).sum(), leaves, create_graph=again)
        torch.testing.assert_close(across, native)
    assert gradgradcheck(norm, (x,))


@pytest.mark.parametrize("kind", ["classes", "vector"])
@LAYOUTS
def test_conditional_batch_norm_equals_a_loop_over_images_and_channels(kind: str, layout: torch.memory_format) -> None:
    """out[b, c] = (x[b, c] − μ[c]) / √(σ²[c] + ε) · (1 + gain(cond[b])[c]) + offset(cond[b])[c]"""
    torch.manual_seed(0)
    x = torch.randn(4, 3, 2, 2).contiguous(memory_format=layout)
    if kind == "classes":
        norm, condition = ConditionalBatchNorm(3, num_classes=6), torch.tensor([0, 5, 2, 2])
        gains, offsets = (part.get_parameter("weight")[condition] for part in (norm.gain, norm.offset))
    else:
        norm, condition = ConditionalBatchNorm(3, condition_dim=6), torch.randn(4, 6)
        gains, offsets = (condition @ part.get_parameter("weight").T for part in (norm.gain, norm.offset))
    found = norm(x, condition)
    for b in range(4):
        for c in range(3):
            values = x[:, c]
            mean = values.sum() / values.numel()
            variance = ((values - mean) ** 2).sum() / values.numel()
            want = (x[b, c] - mean) / (variance + 1e-5).sqrt() * (1 + gains[b, c]) + offsets[b, c]
            torch.testing.assert_close(found[b, c], want)


def test_conditional_batch_norm_has_first_and_second_derivatives() -> None:
    torch.manual_seed(0)
    norm = ConditionalBatchNorm(2, condition_dim=3).double()
    x = torch.randn(3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    condition = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    with state.passing(moves=False):
        assert gradcheck(norm, (x, condition))
        assert gradgradcheck(norm, (x, condition))


def test_conditional_batch_norm_needs_exactly_one_kind_of_condition() -> None:
    with pytest.raises(ValueError, match="expected num_classes or condition_dim, got 0 and 0"):
        ConditionalBatchNorm(3)
    with pytest.raises(ValueError, match="stored_variance must be one of unbiased, biased"):
        BatchNorm(3, stored_variance="both")


def test_standing_statistics_are_averages_over_passes_of_means_and_biased_variances() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(BatchNorm(3), nn.Dropout(0.5)).train()
    batches = [torch.randn(4, 3, 2, 2) + i for i in range(3)]
    with standing_statistics(network):
        for batch in batches:
            network(batch)
    means = sum(batch.mean((0, 2, 3)) for batch in batches) / 3
    variances = sum(batch.var((0, 2, 3), correction=0) for batch in batches) / 3
    torch.testing.assert_close(network[0].running_mean, means)
    torch.testing.assert_close(network[0].running_var, variances)
    assert network.training
    assert network[0].momentum == 0.1
    assert network[0].stored_variance == "unbiased"
    assert network[1].training
