"""Sizes of the feature maps inside a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganlab.core.errors import GanlabError
from ganlab.layers import state
from ganlab.layers.operator_norm import CONVOLUTIONS


def map_sizes(network: nn.Module, wanted_by: str) -> dict[nn.Module, tuple[int, ...]]:
    """Return the (H, W) of the maps that the convolutions of a generator or discriminator are given.

    They are found by a pass over one latent of zeros or one black image, which changes nothing.

    Args:
        network: The network.
        wanted_by: Words of a command line that need it, for messages: ``reg=sn``.

    Raises:
        GanlabError: If the network does not say what it takes.
    """
    found: dict[nn.Module, tuple[int, ...]] = {}

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[module] = tuple(inputs[0].shape[2:])

    like = next(network.parameters())
    latent_dim, shape = getattr(network, "latent_dim", None), getattr(network, "image_shape", None)
    labels = like.new_zeros(1, dtype=torch.long) if getattr(network, "num_classes", 0) else None
    size = (latent_dim,) if latent_dim else shape
    if size is None:
        raise GanlabError(
            f"{wanted_by} must know which maps the convolutions of {type(network).__name__} are given: "
            f"give it an attribute image_shape, or latent_dim if it is a generator."
        )
    hooks = [m.register_forward_pre_hook(look) for m in network.modules() if isinstance(m, CONVOLUTIONS)]
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad(), state.passing(moves=False):
            network(like.new_zeros(1, *size), labels)
    except TypeError as error:  # it wants more than an image and a label
        raise GanlabError(f"{wanted_by}: a pass of {type(network).__name__} cannot be tried: {error}.") from error
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    return found
