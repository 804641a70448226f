"""The guard of the discriminator's step: gradients that are not finite change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from ganlab.contracts.instrument import Step
from ganlab.engine.player_optimizers import PlayerOptimizers


class Guard(nn.Module):
    """Leave weights, moments and regularizers' buffers as they are where a gradient is not finite.

    Nothing is read on the host. Fused optimizers are handed a flag, as a gradient scaler hands it; others step, and
    what they changed is put back, which takes a copy of weights and moments.

    Args:
        optimizers: Of the players.

    Attributes:
        skipped: Number of steps that were left out, on the device.
    """

    skipped: Tensor

    def __init__(self, optimizers: PlayerOptimizers) -> None:
        super().__init__()
        self.register_buffer("skipped", torch.zeros((), dtype=torch.int64))
        self._optimizers = optimizers
        self._fused: bool | None = None  # gradients are checked in one operation; None: not known yet
        optimizers.observers.append(self.around)

    @contextmanager
    def around(self, step: Step) -> Iterator[None]:
        """Surround a step."""
        gradients = [p.grad for p in step.parameters if p.grad is not None]
        if not gradients:
            yield
            return
        if self._fused is None:
            self._fused = len({(type(g), g.device) for g in gradients}) == 1 and not isinstance(gradients[0], DTensor)
        found = _found(gradients) if self._fused else _found_by_norm(gradients)
        broken = found != 0
        self.skipped.add_(broken)
        self._optimizers.pending.dropped = broken
        optimizer = self._optimizers.by_player[step.player]
        if self._fused and getattr(optimizer, "_step_supports_amp_scaling", False):
            optimizer.found_inf = found  # type: ignore[attr-defined]
            yield
            del optimizer.found_inf  # type: ignore[attr-defined]
            return
        kept = {id(t): (t, _shard(t).clone()) for t in _changed(optimizer)}
        yield
        for tensor in _changed(optimizer):
            now = _shard(tensor)
            _, value = kept.get(id(tensor), (tensor, torch.zeros_like(now)))
            now.copy_(torch.where(broken.to(now.device), value, now))


def _found(gradients: list[Tensor]) -> Tensor:
    """Return 1 if a number in gradients of one device is not finite, or else 0; it is what a gradient scaler asks."""
    found = torch.zeros((), device=gradients[0].device)
    torch._amp_foreach_non_finite_check_and_unscale_(gradients, found, torch.ones_like(found))
    return found


def _found_by_norm(gradients: Sequence[Tensor]) -> Tensor:
    """Return the same for gradients of several devices, or of which each rank has a shard."""
    norm = nn.utils.get_total_norm(gradients)
    whole = norm.full_tensor() if isinstance(norm, DTensor) else norm
    return (~whole.isfinite()).float()


def _changed(optimizer: Optimizer) -> list[Tensor]:
    """Return what a step changes: weights and moments."""
    weights = [p for group in optimizer.param_groups for p in group["params"]]
    return weights + [t for values in optimizer.state.values() for t in values.values() if isinstance(t, Tensor)]


def _shard(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that is here, of one that FSDP has sharded."""
    here = tensor.detach()
    return here.to_local() if isinstance(here, DTensor) else here
