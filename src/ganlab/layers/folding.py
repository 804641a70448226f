"""Networks without parametrizations: weights as they are used."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


def fold(network: nn.Module) -> None:
    """Replace every parametrized tensor, such as W/σ(W) of spectral norm, by its value in evaluation.

    Args:
        network: No copy of another one by `copy.deepcopy`: they share classes, which lose the parametrization.
    """
    network.eval()
    for module in list(network.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)


@torch.no_grad()
def folded_state(network: nn.Module) -> dict[str, Tensor]:
    """The state that ``network``, in evaluation, would have after `fold`: copies, of float32 what is no integer."""
    state = {name: tensor for name, tensor in network.state_dict().items() if ".parametrizations." not in f".{name}"}
    for path, module in network.named_modules():
        if parametrize.is_parametrized(module):
            for name in module.parametrizations:  # type: ignore[union-attr]
                state[f"{path}.{name}" if path else name] = getattr(module, name)
    return {
        name: tensor.detach()
        .to("cpu", torch.float32 if tensor.is_floating_point() else None)
        .clone(memory_format=torch.contiguous_format)
        for name, tensor in state.items()
    }
