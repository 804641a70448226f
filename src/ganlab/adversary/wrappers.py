"""Things that others put around a discriminator: compiled modules, and wrappers that average gradients."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from ganlab.core.errors import GanlabError


def unwrapped(discriminator: nn.Module) -> tuple[nn.Module, bool, bool]:
    """Return the network itself, whether it is to be compiled, and whether a wrapper averages its gradients.

    ``DistributedDataParallel``, which accelerate and Fabric use, averages what is called through it. Its network is
    called directly here, so that it averages nothing, and ganlab does. FSDP holds shards of the weights and averages
    them itself: it stays, and ganlab averages nothing.

    Raises:
        GanlabError: If two wrappers would average.
    """
    averaging, compiled = [], False
    network: Any = discriminator
    while True:
        if isinstance(network, (DistributedDataParallel, DataParallel)):
            averaging.append(type(network).__name__)
            network = network.module
        elif hasattr(network, "_orig_mod"):  # torch.compile(network)
            compiled, network = True, network._orig_mod
        elif hasattr(network, "_forward_module"):  # Fabric's
            network = network._forward_module
        else:
            break
    sharded = any(shards(module) for module in network.modules())
    if sharded:
        averaging.append("FSDP")
    if len(averaging) > 1:
        raise GanlabError(
            f"The discriminator is wrapped by {' and '.join(averaging)}, which would both average its gradients: wrap "
            f"it once, or not at all, since ganlab averages them itself."
        )
    return network, compiled, sharded


def shards(module: nn.Module) -> bool:
    """Tell if a module is FSDP's: of the first version, or of ``fully_shard``."""
    return any(kind.__name__ in ("FullyShardedDataParallel", "FSDPModule") for kind in type(module).__mro__)


def inner_optimizer(optimizer: Any) -> Any:
    """Return torch's optimizer inside accelerate's or Fabric's."""
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    return optimizer
