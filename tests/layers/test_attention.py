"""Attention against a loop over positions written from the equations."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import gradcheck, gradgradcheck

from ganlab.layers import attention as module
from ganlab.layers.attention import SelfAttention, attend, attention_places


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
def test_attention_equals_a_loop_over_positions(layout: torch.memory_format) -> None:
    """β[i, j] = exp(θᵢ·φⱼ)/Σⱼ exp(θᵢ·φⱼ), out[i] = x[i] + γ·W_o Σⱼ β[i, j] gⱼ; φ and g max-pooled 2×2."""
    torch.manual_seed(0)
    attention = SelfAttention(16).double().to(memory_format=layout)
    with torch.no_grad():
        attention.gamma.fill_(0.7)
    x = torch.randn(2, 16, 4, 6, dtype=torch.float64).contiguous(memory_format=layout)
    theta, phi, g, o = (
        getattr(attention, name).weight.detach()[:, :, 0, 0] for name in ("query", "key", "value", "output")
    )
    expected = torch.empty_like(x)
    for b in range(2):
        keys, values = [], []
        for i in range(0, 4, 2):
            for j in range(0, 6, 2):
                window = [x[b, :, i + di, j + dj] for di in (0, 1) for dj in (0, 1)]
                keys.append(torch.stack([phi @ p for p in window]).amax(0))
                values.append(torch.stack([g @ p for p in window]).amax(0))
        for i in range(4):
            for j in range(6):
                scores = torch.stack([(theta @ x[b, :, i, j]) @ key for key in keys]).exp()
                attended = sum(s / scores.sum() * value for s, value in zip(scores, values, strict=True))
                expected[b, :, i, j] = x[b, :, i, j] + 0.7 * (o @ attended)
    torch.testing.assert_close(attention(x), expected)


def test_attention_starts_as_the_identity() -> None:
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(SelfAttention(8)(x), x)


def test_attention_can_be_differentiated_twice() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(8).double()
    with torch.no_grad():
        attention.gamma.fill_(0.5)
    x = torch.randn(1, 8, 2, 4, dtype=torch.float64, requires_grad=True)
    assert gradgradcheck(attention, (x,))


@pytest.fixture
def always_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FUSED_FROM_WEIGHTS", 0)


def _maps(*needed: bool) -> list[torch.Tensor]:
    torch.manual_seed(0)
    shapes = ((2, 2, 12), (2, 2, 5), (2, 3, 5))
    return [
        torch.randn(s, dtype=torch.float64).requires_grad_(n)
        for s, n in zip(shapes, needed or (True,) * 3, strict=True)
    ]


@pytest.mark.parametrize("needed", [(True, True, True), (False, True, False), (True, False, True)])
def test_the_fused_kernel_has_the_gradients_of_the_equation(always_fused: None, needed: tuple[bool, ...]) -> None:
    """out[e, i] = Σⱼ softmaxⱼ(qᵢ·kⱼ) v[e, j], with torch's own derivatives."""
    maps = _maps(*needed)
    wanted = [x for x in maps if x.requires_grad]
    out = attend(*maps)
    assert "_Fused" in type(out.grad_fn).__name__
    q, k, v = maps
    expected = torch.einsum("bij,bej->bei", torch.einsum("bdi,bdj->bij", q, k).softmax(2), v)
    torch.testing.assert_close(out, expected)
    slopes = torch.autograd.grad(expected.sin().sum(), wanted)
    # one that is to be differentiated again is written out
    torch.testing.assert_close(torch.autograd.grad(out.sin().sum(), wanted, create_graph=True), slopes)
    torch.testing.assert_close(torch.autograd.grad(out.sin().sum(), wanted), slopes)


def test_the_fused_kernel_can_be_differentiated_twice(always_fused: None) -> None:
    assert gradcheck(attend, _maps())
    assert gradgradcheck(attend, _maps())


def test_large_maps_take_the_fused_kernel_and_small_ones_do_not() -> None:
    attention = SelfAttention(8)
    out = attend(*(torch.randn(1, n, m, requires_grad=True) for n, m in ((1, 1024), (1, 256), (4, 256))))
    assert "_Fused" in type(out.grad_fn).__name__
    assert "_Fused" not in str(attend(*_maps()).grad_fn)
    assert not attention(torch.randn(1, 8, 32, 32).requires_grad_()).isnan().any()


def test_too_few_channels_and_unknown_heights_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 8 channels where attention is, got 4"):
        SelfAttention(4)
    with pytest.raises(ValueError, match=r"one of 8, 16, 32 .0 for none., got 64"):
        attention_places(64, [8, 16, 32])
    with pytest.raises(ValueError, match=r"nearest is 16$"):
        attention_places(20, [8, 16, 32])
    with pytest.raises(ValueError, match="no more often than there are maps of that height, 1, got it 2 times"):
        attention_places((16, 16), [16, 8, 8])


def test_attention_follows_the_first_block_of_each_height_asked_for() -> None:
    assert attention_places((8, 16), [16, 8, 8, 8]) == [0, 1]
    assert attention_places((16, 8, 8), [16, 8, 8, 8]) == [0, 1, 2]
    assert attention_places(0, [16, 8]) == []
    assert attention_places((), [16, 8]) == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_on_a_gpu_the_fused_kernel_is_given_its_inputs_as_they_are_in_multiples_of_8_channels(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On tensors without values: no softmax is written out, and nothing is cast."""
    seen: list[tuple[torch.dtype, int, int]] = []
    kernel = torch.nn.functional.scaled_dot_product_attention

    def watched(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
        seen.extend((x.dtype, x.shape[3], x.stride(3)) for x in (q, k, v))
        return kernel(q, k, v, scale=scale)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    with FakeTensorMode(), torch.no_grad():
        maps = [
            torch.empty(2, n, c, device="cuda", dtype=dtype).transpose(1, 2) for n, c in ((64, 5), (16, 5), (16, 20))
        ]
        assert attend(*maps).shape == (2, 20, 64)
        wide = [torch.empty(2, c, 64, device="cuda", dtype=dtype) for c in (65, 65, 264)]
        assert attend(*wide).shape == (2, 264, 64)
    assert seen == [(dtype, 24, 1)] * 3, "264 channels are more than a kernel takes"


def test_filling_up_changes_nothing(always_fused: None) -> None:
    """The kernel as a GPU has it, on a CPU."""
    maps = _maps()
    expected = attend(*maps)
    q, k, v = (torch.nn.functional.pad(x.transpose(1, 2), (0, 8 - x.shape[1])).unsqueeze(1) for x in maps)
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=1.0)[..., :3].squeeze(1).transpose(1, 2)
    torch.testing.assert_close(out, expected)
