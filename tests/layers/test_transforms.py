"""Passes that torch looks at as a whole meet torch's own functions, whatever mode of ganlab's is on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from ganlab.layers.attention import FUSED_FROM_WEIGHTS, attend
from ganlab.layers.casting import cast_once
from ganlab.layers.second_derivatives import differentiated_twice

IMAGES = torch.linspace(-1, 1, 50).view(2, 1, 5, 5)
SIDES = 2 * int(FUSED_FROM_WEIGHTS**0.5)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.LeakyReLU(0.2, inplace=True), nn.Flatten(), nn.Linear(18, 1))


def by_func_grad(net: nn.Module) -> Tensor:
    return torch.func.grad(lambda x: net(x).sum())(IMAGES)


def by_jvp(net: nn.Module) -> Tensor:
    found: Tensor = torch.func.jvp(lambda x: net(x), (IMAGES,), (IMAGES,))[1]
    return found


def forward_mode(net: nn.Module) -> Tensor:
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(net(forward_ad.make_dual(IMAGES, IMAGES))).tangent
    assert tangent is not None
    return tangent


def an_ensemble(net: nn.Module) -> Tensor:
    weights = {name: torch.stack([p, 2 * p]) for name, p in net.named_parameters()}
    found: Tensor = torch.func.vmap(lambda each: torch.func.functional_call(net, each, (IMAGES,)))(weights)
    return found


def compiled(net: nn.Module) -> Tensor:
    found: Tensor = torch.compile(net, backend="eager", fullgraph=True)(IMAGES.clone().requires_grad_())
    return found


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")  # by forward-mode differentiation itself
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("look", [by_func_grad, by_jvp, forward_mode, an_ensemble, compiled])
def test_a_network_gives_what_it_gives_without_the_modes(look: Callable[[nn.Module], Tensor], mixed: bool) -> None:
    """In one piece where it is compiled: with ``fullgraph`` a break is an error."""
    torch.compiler.reset()
    found = []
    for modes in (False, True):
        with ExitStack() as stack:
            stack.enter_context(torch.autocast("cpu", torch.bfloat16, enabled=mixed, cache_enabled=False))
            if modes:
                stack.enter_context(differentiated_twice())
                stack.enter_context(cast_once("cpu"))
            found.append(look(network()).detach())
    assert torch.equal(*found)


def test_attention_that_is_fused_can_be_seen_by_torch_func() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, channels, SIDES) / 8 for channels in (2, 2, 4))

    def total(*inputs: Tensor) -> Any:
        return attend(*inputs).square().sum()

    expected = torch.autograd.grad(total(*(x.requires_grad_() for x in (query, key, value))), (query, key, value))
    found = torch.func.grad(total, (0, 1, 2))(*(x.detach() for x in (query, key, value)))
    torch.testing.assert_close(found, expected)
