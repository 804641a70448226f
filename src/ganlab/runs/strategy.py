"""How processes work together: replicas that are not wrapped."""

from __future__ import annotations

from lightning.pytorch.strategies import DDPStrategy

from ganlab.core import distributed


class ReplicaStrategy(DDPStrategy):
    """Lightning's DDP launching and process groups without ``DistributedDataParallel``.

    DDP's wrapper stops with "parameters that were not used in producing the loss" when players take
    turns, and makes double backward fragile. Here weights are broadcast once; the module averages
    each turn's gradients itself by one flattened all-reduce.
    """

    strategy_name = "ganlab"

    def configure_ddp(self) -> None:
        assert self.model is not None
        distributed.broadcast(self.model)
