"""Casts of weights under autocast: how often each is made, and that passes and gradients are those without."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from support.engine import Engine, images
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from ganlab.games.standard import Standard
from ganlab.layers import spectral_norm
from ganlab.layers.attention import SelfAttention
from ganlab.layers.casting import cast_once
from ganlab.layers.equalized import EqualizedConv2d, EqualizedLinear
from ganlab.layers.norm import ConditionalBatchNorm
from ganlab.layers.resample import DownsampleConv2d, UpsampleConv2d
from ganlab.losses.non_saturating import NonSaturating
from ganlab.models import dcgan
from ganlab.regularizers.r1 import R1
from ganlab.regularizers.sn import SpectralNormalization


class Casts(TorchDispatchMode):
    """Counts casts of weights and biases from float32 to bfloat16: of tensors that are no maps of the batch of 20."""

    made = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and out.dtype is torch.bfloat16 and args[0].dtype is torch.float32:
            self.made += len(args[0]) != 20
        return out


def normalized() -> nn.Module:
    network = NETWORKS["plain"]()
    spectral_norm.attach(network)
    return network


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 2)),
    "transposed": lambda: nn.ConvTranspose2d(3, 4, 3),
    "equalized": lambda: nn.Sequential(EqualizedConv2d(3, 4, 3), nn.Flatten(), EqualizedLinear(256, 2)),
    "folded": lambda: nn.Sequential(UpsampleConv2d(3, 4, 3), DownsampleConv2d(4, 4, 3)),
    "spectral norm": lambda: normalized(),
}


def played(network: nn.Module, wanted: bool, count: int = 2) -> tuple[list[Tensor], int]:
    """Outputs and gradients of passes, one after the other, and the number of casts."""
    torch.manual_seed(1)
    inputs = torch.randn(count, 20, 3, 8, 8, dtype=torch.bfloat16)
    network.zero_grad()
    with (
        torch.autocast("cpu", torch.bfloat16, cache_enabled=False),
        Casts() as casts,
        parametrize.cached(),
        cast_once("cpu", wanted),
    ):
        found = [network(x) for x in inputs]
    torch.stack(found).float().square().sum().backward()
    return [*found, *(p.grad for p in network.parameters() if p.grad is not None)], casts.made


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_cast_once_for_all_passes_and_give_their_outputs_and_gradients(name: str) -> None:
    """The gradients of both passes are summed in bfloat16, which has 8 bits."""
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()  # spectral-norm vectors stay
    _, of_one = played(network, False, 1)
    plain, of_two = played(network, False)
    shared, once = played(network, True)
    assert of_two == 2 * of_one
    assert once == of_one > 0
    assert all(torch.equal(a, b) for a, b in zip(shared[:2], plain[:2], strict=True))
    for found, expected in zip(shared[2:], plain[2:], strict=True):
        assert found.dtype == torch.float32
        assert (found - expected).norm() < 2**-7 * expected.norm()


def test_a_cast_without_a_graph_does_not_serve_a_pass_with_one_and_a_changed_weight_is_cast_anew() -> None:
    layer, x = nn.Linear(3, 2), torch.ones(1, 3)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False), cast_once("cpu"):
        with torch.no_grad():
            before = layer(x)
        layer(x).sum().backward()
        assert layer.weight.grad is not None
        with torch.no_grad():
            layer.weight.add_(1.0)
            assert (layer(x) - before > 2.5).all()


def test_passes_without_autocast_inside_have_weights_in_float32() -> None:
    layer, x = EqualizedConv2d(3, 2, 3), torch.randn(1, 3, 4, 4)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False), cast_once("cpu"):
        assert layer(x).dtype is torch.bfloat16
        with torch.autocast("cpu", enabled=False):
            assert torch.equal(layer(x), expected)


def test_each_thread_has_casts_of_its_own() -> None:
    """The block that begins first ends first."""
    layer, x = EqualizedConv2d(3, 2, 3), torch.randn(20, 3, 4, 4, dtype=torch.bfloat16)
    begun, ended, found = threading.Event(), threading.Event(), []

    def play() -> None:
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False), cast_once("cpu"):
            begun.set()
            ended.wait(60)

    thread = threading.Thread(target=play)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        with cast_once("cpu"):
            thread.start()
            begun.wait(60)
        for _ in range(2):
            with Casts() as casts:
                layer(x)
            found.append(casts.made)
    ended.set()
    thread.join()
    assert found == [2, 2]


def test_a_turn_casts_each_weight_once() -> None:
    """The discriminator's turn makes two passes with its weights, and R1 one in float32."""
    made = {}
    for wanted in (False, True):
        torch.manual_seed(0)
        generator = dcgan.Generator(16, 3, latent_dim=3, width=4)
        discriminator = dcgan.Discriminator(16, 3, width=4)
        game = Standard(generator=generator, discriminator=discriminator, loss=NonSaturating())
        engine = Engine(game, {"sn": SpectralNormalization(), "r1": R1()}, rate=0.0)
        engine.module.turns._casts_once = wanted
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False), Casts() as casts:
            engine.play(images(shape=(3, 16, 16)))
        made[wanted] = casts.made
    layers = [m for m in discriminator.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert made[False] - made[True] == sum(1 + (layer.bias is not None) for layer in layers) > 0


def test_maps_stay_in_bf16_through_normalization_by_an_embedding_and_attention() -> None:
    """As a GPU has it: there autocast takes the widest type of what `torch.addcmul` is given, a γ without dimensions
    too, which this asks of every call."""
    given = []

    class Mixed(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function is torch.addcmul:
                given.append({x.dtype for x in args})
            return function(*args, **(kwargs or {}))

    x = torch.randn(2, 8, 4, 4, dtype=torch.bfloat16)
    norm, attention = ConditionalBatchNorm(8, num_classes=3), SelfAttention(8)
    with torch.autocast("cpu", torch.bfloat16), Mixed():
        assert attention(norm(x, torch.tensor([0, 2]))).dtype is torch.bfloat16
    assert given == [{torch.bfloat16}] * 2
